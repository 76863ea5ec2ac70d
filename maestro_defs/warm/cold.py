"""``python -m maestro_defs.warm.cold RUN_ID --home H``: a worker for one run, started without the warm server."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from maestro.errors import MaestroError
from maestro.server.home import find_server
from maestro_defs.leaving import leave
from maestro_defs.warm.body import BODY, load_body
from maestro_defs.warm.child import limit, print_to
from maestro_defs.warm.records import checked, run_log
from maestro_defs.warm.worker import Assignment, Worker


def main(arguments: list[str] | None = None) -> int:
    """Carries out the run; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m maestro_defs.warm.cold", description=__doc__)
    parser.add_argument("run_id")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--resume", action="store_true", help="another worker died with the run")
    parser.add_argument("--acknowledge", type=int, help="descriptor to write to once it has begun")
    parser.add_argument("--body", default=BODY, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        home = find_server(given.home)
        if given.acknowledge is not None:
            print_to(run_log(home, checked(given.run_id)))
        os.environ["MAESTRO_SERVER_HOME"] = str(home.folder)
        os.environ["DAGSTER_HOME"] = str(home.dagster)
        limit(home)
        return _carry_out(given, home)
    except MaestroError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _carry_out(given: argparse.Namespace, home: object) -> int:
    from maestro.server.home import ServerHome

    assert isinstance(home, ServerHome)

    def body(run_id: str, home: ServerHome, stop: object, *, resume: bool = False) -> None:
        # Imported only now, in the run's thread: who launches it need not wait for that.
        load_body(given.body)(run_id, home, stop, resume=resume)  # type: ignore[arg-type]  # an Event there

    def acknowledge() -> None:
        if given.acknowledge is not None:
            os.write(given.acknowledge, b"!")
            os.close(given.acknowledge)

    code = Worker(home, body, 1, lambda _free: None).run(Assignment(given.run_id, given.resume), acknowledge)
    leave(code)


if __name__ == "__main__":
    sys.exit(main())
