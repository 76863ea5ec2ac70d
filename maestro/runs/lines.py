"""Lines of logs that are still being written."""

from __future__ import annotations

_LONGEST = 256 * 1024


class Lines:
    """Bytes in, whole lines out; a last line without its end waits for the rest, unless it gets very long."""

    def __init__(self) -> None:
        self._held = b""

    def take(self, data: bytes) -> list[str]:
        """The lines ``data`` completes, without their ends."""
        *whole, self._held = (self._held + data).split(b"\n")
        if len(self._held) > _LONGEST:
            whole.append(self._held)
            self._held = b""
        return [_text(line) for line in whole]

    def rest(self) -> list[str]:
        """What is left when nothing more comes."""
        left, self._held = self._held, b""
        return [_text(left)] if left else []


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", errors="replace")
