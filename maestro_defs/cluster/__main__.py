"""``python -m maestro_defs.cluster --home H``: makes this machine carry out runs of a cluster.

Starts the machine's warm server as well. SIGTERM: no further run is taken, those that go on have the time the settings
give them (``launcher.drain_seconds``) and are then left for other machines.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maestro.errors import MaestroError, missing_library
from maestro.server.home import ServerHome, find_server
from maestro.server.references import read_reference
from maestro_defs.cluster.app import QUEUE
from maestro_defs.leaving import leave

_log = logging.getLogger("maestro.cluster")
_AGAIN_SECONDS = 1.0
_WARM_SECONDS = 60.0
_LOOK_SECONDS = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Serves until it is told to stop; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m maestro_defs.cluster", description=__doc__)
    parser.add_argument("--home", type=Path, help="the server's home on this machine")
    parser.add_argument(
        "--broker", default="env:MAESTRO_BROKER_URL", metavar="REFERENCE", help="env:NAME or file:PATH of its URL"
    )
    parser.add_argument("--queue", default=QUEUE, help=f"where runs wait (default: {QUEUE})")
    parser.add_argument("--places", type=int, default=2 * (os.cpu_count() or 1), help="runs at once")
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    for name in ("maestro", "maestro_defs"):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        home = find_server(given.home)
        os.environ["MAESTRO_SERVER_HOME"] = str(home.folder)
        os.environ["DAGSTER_HOME"] = str(home.dagster)
        return _serve(home, read_reference(given.broker), given.queue, max(1, given.places))
    except ModuleNotFoundError as error:
        told = missing_library(error, "a worker of a cluster")
        if told is None:
            raise
        return _fail(told)
    except MaestroError as error:
        return _fail(error)


def _fail(error: MaestroError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code


def _serve(home: ServerHome, broker: str, queue: str, places: int) -> int:
    with _warm_server(home):
        from maestro.server.leases import Leases
        from maestro_defs.cluster.app import open_app
        from maestro_defs.cluster.node import Node, serve
        from maestro_defs.server import Server

        server = Server(home)
        with server.instance() as instance:
            _wait_for_warmth(home)
            node = Node(home, instance, Leases(server.engine))
            _log.info("ready for %d runs", places)
            return serve(open_app(broker, queue), node, queue, places)


def _wait_for_warmth(home: ServerHome) -> None:
    """Until the warm server can be asked; the first run would be started without it, slowly."""
    from maestro_defs.warm.records import server_socket

    deadline = time.monotonic() + _WARM_SECONDS
    while not server_socket(home).exists() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _warm_server(home: ServerHome) -> Iterator[None]:
    """The machine's warm server, started again when it ends by itself; it drains when this process is told to stop."""
    from celery.signals import worker_shutting_down  # type: ignore[import-untyped]  # no types

    from maestro_defs.cluster.body import BODY

    stopping = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def keep() -> None:
        while not stopping.is_set():
            running[:] = [
                subprocess.Popen(
                    [sys.executable, "-m", "maestro_defs.warm", "--home", str(home.folder), "--body", BODY],
                    # Ctrl-C reaches this process alone, which then stops it in its own way.
                    start_new_session=True,
                )
            ]
            code = running[0].wait()
            if not stopping.wait(_AGAIN_SECONDS):
                _log.error("the warm server ended with exit code %d and is started again", code)

    def stop(**_about: object) -> None:
        stopping.set()
        for process in running:
            process.terminate()

    worker_shutting_down.connect(stop, weak=False)
    keeper = threading.Thread(target=keep, name="warm server", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop()
        keeper.join()


if __name__ == "__main__":
    leave(main())
