"""Reads the logs of running steps as they grow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PAUSE_SECONDS = 0.1
_MOST_BYTES = 1024 * 1024


@dataclass
class _Open:
    path: Path
    offset: int = 0
    rest: bytes = b""


class LogTail:
    """Calls ``line`` with the name of a step and each whole line it writes, from a thread of its own.

    Args:
        line: called from that thread, and from whoever calls ``finish``; never twice at once.
    """

    def __init__(self, line: Callable[[str, str], None]) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="logs", daemon=True)
        self._thread.start()

    def start(self, step: str, path: Path) -> None:
        """From now on follows the file at ``path``, which need not be there yet."""
        with self._lock:
            self._open.setdefault(step, _Open(path))

    def finish(self, step: str) -> None:
        """Reads what is left of a step's log, its unfinished last line too."""
        with self._lock:
            following = self._open.pop(step, None)
            if following is not None:
                while self._read(step, following):
                    pass
                if following.rest:
                    self._line(step, following.rest.decode("utf-8", "replace"))

    def close(self) -> None:
        """Finishes every step and ends the thread."""
        self._stop.set()
        self._thread.join()
        for step in list(self._open):
            self.finish(step)

    def _follow(self) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            with self._lock:
                for step, following in self._open.items():
                    self._read(step, following)

    def _read(self, step: str, following: _Open) -> bool:
        try:
            with following.path.open("rb") as file:
                file.seek(following.offset)
                data = file.read(_MOST_BYTES)
        except FileNotFoundError:
            return False
        following.offset += len(data)
        *lines, following.rest = (following.rest + data).split(b"\n")
        for line in lines:
            self._line(step, line.decode("utf-8", "replace"))
        return bool(data)
