"""``python -m maestro.gateway --home FOLDER [--host HOST] [--port PORT | --socket PATH]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from maestro.errors import MaestroError


def _port(text: str) -> int:
    # The resolver takes larger numbers and means others by them.
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: 0 to 65535")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Runs the gateway until it is told to stop; 0 when everything it took is written."""
    parser = argparse.ArgumentParser(prog="python -m maestro.gateway", description="Takes webhooks.")
    parser.add_argument("--home", type=Path, help="the server's home (default: MAESTRO_SERVER_HOME)")
    parser.add_argument("--host", help="address to listen on (default: as in server.yaml)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=_port, help="port to listen on; 0: any (default: as in server.yaml)")
    where.add_argument("--socket", type=Path, help="Unix socket to listen on instead")
    given = parser.parse_args(arguments)
    try:
        from maestro.gateway.program import log_to_stderr, serve
        from maestro.server.home import find_server

        log_to_stderr()
        serve(find_server(given.home), host=given.host, port=given.port, path=given.socket)
    except MaestroError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
