"""``python -m maestro_defs.warm --home H``: the warm server.

SIGTERM stops it once its runs have ended or were left to be resumed, SIGHUP starts it anew with the code and settings
as they are now; it does the latter by itself when they change. Runs go on meanwhile, and launches wait.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from maestro.errors import MaestroError
from maestro.server.home import ServerHome, find_server
from maestro_defs.leaving import leave
from maestro_defs.warm.body import BODY, load_body, load_preparation

_INHERITED = "MAESTRO_WARM_DESCRIPTORS"
_LOCK_SECONDS = 3.0


def main(arguments: list[str] | None = None) -> int:
    """Serves until it is told to stop; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m maestro_defs.warm", description=__doc__)
    parser.add_argument("--home", type=Path, help="the server's home")
    parser.add_argument("--drain-seconds", type=float, help="what runs are given to finish; else as the settings say")
    parser.add_argument("--check", action="store_true", help="only say whether everything can be imported")
    parser.add_argument("--body", default=BODY, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("maestro").setLevel(logging.INFO)
    try:
        home = find_server(given.home)
        os.environ["MAESTRO_SERVER_HOME"] = str(home.folder)
        os.environ["DAGSTER_HOME"] = str(home.dagster)
        if given.check:
            from maestro_defs.warm.preload import preload

            preload(home, given.body)
            load_body(given.body)
            return 0
        return _serve(home, given.body, given.drain_seconds)
    except MaestroError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _serve(home: ServerHome, body: str, drain_seconds: float | None) -> int:
    lock, listener = _inherited() or (_only_one(home), None)
    # Not before: a second server must not import all that to say that there is one.
    from maestro_defs.warm import wire
    from maestro_defs.warm.preload import preload
    from maestro_defs.warm.records import server_socket
    from maestro_defs.warm.server import WarmServer

    began = time.monotonic()
    preload(home, body)
    listener = listener or wire.listen(server_socket(home))
    seconds = home.settings.launcher.drain_seconds if drain_seconds is None else drain_seconds
    server = WarmServer(home, load_body(body), listener, seconds, _can_start, load_preparation(body))
    logging.getLogger("maestro.warm").info("ready after %.1f s (pid %d)", time.monotonic() - began, os.getpid())
    if server.serve():
        _start_anew(lock, listener)
    server_socket(home).unlink(missing_ok=True)
    return 0


def _only_one(home: ServerHome) -> int:
    """Descriptor of the lock that says that this is the home's warm server.

    Raises:
        MaestroError: there is another one.
    """
    folder = home.folder / "run"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / ".warm", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            # A worker that is just being forked by one that was killed has it for a moment.
            if time.monotonic() > deadline:
                raise MaestroError(
                    f"another warm server serves {home.folder}", next_step="stop it first, or name another --home"
                ) from None
            time.sleep(0.05)


def _can_start() -> str | None:
    """Why this server could not be started now, with the code and settings as they are; None when it could."""
    argv = [sys.executable, *sys.orig_argv[1:], "--check"]
    checked = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return None if checked.returncode == 0 else (checked.stderr.strip() or "it says nothing").splitlines()[-1]


def _start_anew(lock: int, listener: socket.socket) -> None:
    """Becomes a new Python process with the same id, lock, socket and children; does not return."""
    for descriptor in (lock, listener.fileno()):
        os.set_inheritable(descriptor, True)
    os.environ[_INHERITED] = f"{lock} {listener.fileno()}"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _inherited() -> tuple[int, socket.socket] | None:
    given = os.environ.pop(_INHERITED, None)
    if given is None:
        return None
    lock, listening = (int(part) for part in given.split())
    for descriptor in (lock, listening):
        os.set_inheritable(descriptor, False)
    listener = socket.socket(fileno=listening)
    listener.setblocking(False)
    return lock, listener


if __name__ == "__main__":
    leave(main())
