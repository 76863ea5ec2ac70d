"""``python -m maestro.cli.warm.program PLACE``: a project's warm process.

It imports what the run before it had imported, listens at ``PLACE.sock``, and forks for each command. It has one
thread, since nothing else survives a fork, opens nothing of the project's, and reads no request: the fork does. It ends
when nobody has asked it for a while, when code has changed, and when its socket is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import resource
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from maestro.cli.warm.identity import identity
from maestro.cli.warm.place import open_folder, within
from maestro.errors import MaestroError
from maestro_defs.warm import wire
from maestro_defs.warm.changes import Stamps, changed, stamps_of_edited, stamps_of_packages

IDLE_SECONDS = 15 * 60.0
MOST_BYTES = 512 << 20
_LOOK_SECONDS = 5.0
_CLOCK_NS = 20_000_000
"""Clocks of file systems lag behind by some milliseconds."""
_PACKAGES = ("maestro", "maestro_defs", "assets", "resources", "sensors")


@dataclass(eq=False)
class _Fork:
    pid: int
    ended: int
    connection: socket.socket


@dataclass
class WarmProcess:
    """Forks for each command until there is a reason to end.

    Args:
        place: path of the socket, without ``.sock``.
        identity: of this process.
        before: the code it was started with.
        lock: descriptor of the lock by which there is one.
    """

    place: Path
    identity: list[str]
    before: Stamps
    listener: socket.socket
    lock: int
    forks: list[_Fork] = field(default_factory=list)
    asked: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._inode = self._socket.stat().st_ino

    @property
    def _socket(self) -> Path:
        return self.place.with_suffix(".sock")

    def serve(self) -> None:
        """Until it is to end and its forks have."""
        listens = True
        while listens or self.forks:
            ready = self._wait(listens)
            for fork in list(self.forks):
                self._look_after(fork, ready)
            if listens and (reason := self._reason_to_end()):
                listens = False
                self._retire()
                print(f"ends: {reason}", file=sys.stderr, flush=True)
            elif listens and self.listener.fileno() in ready and (connection := wire.accept(self.listener)):
                self.asked = time.monotonic()
                self._fork(connection)

    def _wait(self, listens: bool) -> set[int]:
        poll = select.poll()
        if listens:
            poll.register(self.listener, select.POLLIN)
        for fork in self.forks:
            poll.register(fork.ended, select.POLLIN)
            if fork.connection.fileno() >= 0:
                poll.register(fork.connection, 0)  # Only that the other side has hung up.
        return {descriptor for descriptor, _ in poll.poll(1000 * _LOOK_SECONDS)}

    def _reason_to_end(self) -> str | None:
        if not self._is_there():
            return "its socket is gone"
        if files := changed(self.before):
            return f"{files[0]} has changed"
        idle = not self.forks and time.monotonic() - self.asked > IDLE_SECONDS
        return "nobody has asked for a while" if idle else None

    def _is_there(self) -> bool:
        try:
            return self._socket.stat().st_ino == self._inode
        except OSError:
            return False

    def _retire(self) -> None:
        if self._is_there():
            self._socket.unlink(missing_ok=True)
        self.listener.close()
        os.close(self.lock)

    def _look_after(self, fork: _Fork, ready: set[int]) -> None:
        if fork.ended in ready:
            _, status = os.waitpid(fork.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            # A fork tells its exit code itself, so this is news only when it could not.
            wire.answer(fork.connection, {"signal": -code} if code < 0 else {"code": code})
            os.close(fork.ended)
            self.forks.remove(fork)
            self.asked = time.monotonic()
        elif fork.connection.fileno() in ready:
            # Whom it stands for was killed. It knows as well, unless it was stopped.
            os.kill(fork.pid, 9)
            fork.connection.close()

    def _fork(self, connection: socket.socket) -> None:
        pid = os.fork()
        if pid == 0:
            from maestro.cli.warm.child import live

            live(connection, self.identity)
        self.forks.append(_Fork(pid, os.pidfd_open(pid), connection))


def main(place: Path) -> int:
    """Serves; the exit code."""
    os.umask(0o077)
    lock = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    place.with_suffix(".sock").unlink(missing_ok=True)  # Of one that was killed.
    given = json.load(sys.stdin)
    mine = identity(os.environ)
    if mine != given["identity"]:
        return 0  # It would refuse every command.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    began = time.time_ns()
    before = stamps_of_packages(_PACKAGES)
    _prepare(given["modules"])
    # Step kinds of others may be edited in place as well; which, is only known now.
    edited = {file: stamp for file, stamp in stamps_of_edited().items() if file not in before}
    if any(moment > began - _CLOCK_NS for moment, _size in edited.values()):
        return 0  # The next run starts one that has read it as it is.
    before = {**edited, **before}
    listener = _listen(place)
    WarmProcess(place, mine, before, listener, lock).serve()
    return 0


def _listen(place: Path) -> socket.socket:
    folder = open_folder(str(place.parent.parent))
    if folder is None:
        raise MaestroError(f"{place.parent} is not this user's alone", next_step=f"chmod 700 {place.parent}")
    try:
        return wire.listen(Path(within(folder, f"{place.name}.sock")))
    finally:
        os.close(folder)


def _prepare(modules: list[str]) -> None:
    """Raises MaestroError when it could not fork, or needs too much memory."""
    gc.disable()
    from maestro_defs.lean_imports import lean_imports

    with lean_imports():
        from maestro_defs.late_imports import import_all
        from maestro_defs.warm.preload import check_single

        import_all(modules)
    check_single()
    gc.collect()
    gc.freeze()
    used = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if used > MOST_BYTES:
        raise MaestroError(f"the warm process needs {used >> 20} MiB", next_step="maestro run --no-warm")


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        ended = main(Path(sys.argv[1]))
    except (MaestroError, OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            print(f"error: {error}", file=sys.stderr)
        ended = 1
    _end(ended)
