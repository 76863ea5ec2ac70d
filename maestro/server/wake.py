"""Wakes another program of the server at once, where it would otherwise look again only after a while.

A datagram over a Unix socket; it carries nothing and may be lost. Whoever waits looks for work in the database anyway,
so this is speed alone and never correctness.
"""

from __future__ import annotations

import contextlib
import select
import socket
from pathlib import Path

from maestro.server.home import ServerHome


def poke(home: ServerHome, name: str) -> None:
    """Wakes ``name`` when it waits on this machine; never fails, never blocks."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(b"!", str(_path(home, name)))


class Waiter:
    """Waits to be woken; close it when done."""

    def __init__(self, home: ServerHome, name: str) -> None:
        self._path = _path(home, name)
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._socket.setblocking(False)

    def wait(self, seconds: float) -> bool:
        """True when it was woken, False after ``seconds``; any number of pokes before wake it once."""
        woken, _, _ = select.select([self._socket], [], [], seconds)
        if not woken:
            return False
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(16):
                pass
        return True

    def close(self) -> None:
        """Nothing can wake it any more."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


def _path(home: ServerHome, name: str) -> Path:
    return home.sockets / f"{name}.wake"
