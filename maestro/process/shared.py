"""One guard for several runs of a process: each costs a Python interpreter of its own otherwise. And one in advance."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from maestro.errors import MaestroError
from maestro.process.connection import GuardConnection


class SharedGuard:
    """A guard that is started when first used, again after it was killed, and ended by ``close``; thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guard: GuardConnection | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the guard, when one was started."""
        guard = self._guard
        return guard.pid if guard else None

    def open(self, stdout: int, stderr: int) -> socket.socket:
        """A socket to a new warden; raises OSError when the guard was killed just now.

        Raises:
            MaestroError: the guard cannot be started.
        """
        with self._lock:
            if self._guard is not None and not self._guard.alive:
                self._guard.close()
                self._guard = None
            if self._guard is None:
                self._guard = GuardConnection()
            return self._guard.open(stdout, stderr)

    def prepare(self) -> None:
        """Starts the guard, without waiting until it is ready; whoever uses it finds out when that fails."""
        with self._lock, suppress(MaestroError):
            if self._guard is None:
                self._guard = GuardConnection()

    def close(self) -> None:
        """Ends the guard, and with it everything below it."""
        with self._lock:
            guard, self._guard = self._guard, None
        if guard is not None:
            guard.close()


_shared: SharedGuard | None = None


@contextmanager
def guard_shared() -> Iterator[SharedGuard]:
    """Within the block, all process runners this process makes have one guard; it ends with the block."""
    # Runs are in threads of which each makes its runner far from here, so there is no other way to hand it on.
    global _shared
    before, _shared = _shared, SharedGuard()
    mine = _shared
    try:
        yield mine
    finally:
        _shared = before
        mine.close()


def shared_guard() -> SharedGuard | None:
    """The guard to share; None when each runner has its own."""
    return _shared


_prepared: ContextVar[SharedGuard | None] = ContextVar("prepared_guard", default=None)


@contextmanager
def guard_prepared() -> Iterator[None]:
    """Starts a guard now, for the first process runner this thread makes in the block: until then it is ready."""
    if shared_guard() is not None:
        yield
        return
    guard = SharedGuard()
    guard.prepare()
    token = _prepared.set(guard)
    try:
        yield
    finally:
        left = _prepared.get()
        _prepared.reset(token)
        if left is guard:
            guard.close()


def prepared_guard() -> SharedGuard | None:
    """The guard that was started in advance, for who asks first."""
    guard = _prepared.get()
    _prepared.set(None)
    return guard
