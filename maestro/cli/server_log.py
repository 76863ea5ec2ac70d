"""Follows what the server's programs write, and shows the lines a person should see."""

from __future__ import annotations

import re
import time
from pathlib import Path

LOAD_FAILED = "Error while importing code"
"""What a code server writes when its project cannot be loaded; pinned by tests/e2e/test_cli_server.py."""
LARGEST_LOG = 16 * 1024 * 1024
"""Bytes; a larger log is set aside when its program is started."""
_MOST_BYTES = 256 * 1024
_MOST_LINES = 20
_REPEAT_SECONDS = 600.0
_NUMBERS = re.compile(rb"\d+")
_ALARMING = re.compile(rb'\b(?:WARN|WARNING|ERROR|CRITICAL|FATAL)\b|^error: |"level": ?"(?:warning|error|critical)"')
# What a code server says to each reload of the workspace; Maestro starts it anew when its code changed.
_KNOWN = re.compile(rb"Reloading definitions from a code server launched via `dagster api grpc`")
_COLORS = re.compile(rb"\x1b\[[0-9;]*m")


class Followed:
    """One log, from where it ended when it was first looked at.

    ``load_failed`` is set when a code server says that it could not load its project; whoever acts on it resets it.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.load_failed = False
        self._offset = log.stat().st_size if log.exists() else 0
        self._begun = b""
        self._shown: dict[bytes, float] = {}

    def alarming(self) -> list[str]:
        """What was written since the last call, reduced to warnings and errors; at most twenty lines.

        What differs from a line shown in the last ten minutes by numbers alone, such as its time, is left out.
        """
        plain = (_COLORS.sub(b"", line) for line in self._lines())
        alarms = [line for line in plain if _ALARMING.search(line) and not _KNOWN.search(line)]
        self.load_failed = self.load_failed or any(LOAD_FAILED.encode() in line for line in alarms)
        found = [line for line in alarms if self._is_news(line)]
        shown = [line.decode("utf-8", "replace").rstrip() for line in found[:_MOST_LINES]]
        if len(found) > _MOST_LINES:
            shown.append(f"… {len(found) - _MOST_LINES} more in {self.log}")
        return shown

    def _is_news(self, line: bytes) -> bool:
        now = time.monotonic()
        self._shown = {text: at for text, at in self._shown.items() if now < at + _REPEAT_SECONDS}
        return self._shown.setdefault(_NUMBERS.sub(b"", line), now) == now

    def _lines(self) -> list[bytes]:
        try:
            size = self.log.stat().st_size
        except OSError:
            return []
        if size < self._offset:  # Set aside, or emptied.
            self._offset, self._begun = 0, b""
        if size == self._offset:
            return []
        with self.log.open("rb") as file:
            file.seek(max(self._offset, size - _MOST_BYTES))
            data = self._begun + file.read(_MOST_BYTES)
            self._offset = file.tell()
        *whole, self._begun = data.split(b"\n")
        self._begun = self._begun[-_MOST_BYTES:]
        return whole


def set_aside(log: Path) -> None:
    """Renames a large log to ``NAME.1``, in place of the one before it."""
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_name(f"{log.name}.1"))
