"""The OpenAI-compatible endpoint as a process of its own: ``python -m maestro.gateway.llm_program --home DIR …``."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from maestro.errors import MaestroError
from maestro.gateway.access_log import AccessLog
from maestro.gateway.llm_app import alone, opening
from maestro.gateway.llm_audit import audited
from maestro.gateway.llm_projects import ProjectCatalogues
from maestro.gateway.program import listen, log_to_stderr, run, shown
from maestro.llm.endpoint_tokens import FILE, TokenFile
from maestro.server.home import HOME_VARIABLE, find_server

ELSEWHERE = "choose another port with `--port`; 0 takes any that is free"


def serve(home: Path, workspace: Path | None, *, host: str, port: int, profile: str | None = None) -> None:
    """Answers until SIGTERM or SIGINT; what was spent is in the ledger when this returns.

    Writes ``OPENAI_BASE_URL=…`` to standard output as soon as it listens.

    Args:
        home: the project's state folder, or a server's; its tokens count.
        workspace: the project's checkout; of no use on a server.
        port: 0: any that is free.
        profile: whose policies count; a server has its own.

    Raises:
        InputError: the address cannot be had.
    """
    log_to_stderr()
    log = AccessLog()
    with contextlib.closing(listen(host, port, elsewhere=ELSEWHERE)) as listener:
        listener.listen()
        print(f"OPENAI_BASE_URL={shown(listener, None)}/v1", flush=True)
        projects = ProjectCatalogues(find_server()) if os.environ.get(HOME_VARIABLE) else None
        if projects is None:
            opened = opening(home, os.environ, workspace, profile=profile)
        else:
            # Tokens of several projects, each under what its own default branch says.
            opened = opening(home, os.environ, profile=profile, catalogue=projects.base)
        here = None if projects is not None else workspace
        with contextlib.nullcontext() if here is None else audited(here, profile):
            run(alone(TokenFile(home / FILE), opened, log.add, projects), listener)
    log.flush()


def main(arguments: list[str] | None = None) -> int:
    """Runs it until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m maestro.gateway.llm_program", description="Serves OpenAI's API.")
    parser.add_argument("--home", type=Path, required=True, help="folder of the tokens and the ledger")
    parser.add_argument("--workspace", type=Path, help="the project's checkout")
    parser.add_argument("--profile", help="whose policies count")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8086, help="port to listen on; 0: any")
    given = parser.parse_args(arguments)
    try:
        serve(given.home, given.workspace, host=given.host, port=given.port, profile=given.profile)
    except MaestroError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
