"""What all offline answers share: the label, the deadline, and quoting what others wrote."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

LABEL = "[offline]"
LONGEST_LINE = 200
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


@dataclass(slots=True)
class Deadline:
    """A point of ``time.monotonic()``; whoever waits for the answer may call it off."""

    at: float
    cancelled: bool = False

    def left(self) -> float:
        """Seconds, 0 when it is over."""
        return 0.0 if self.cancelled else max(0.0, self.at - time.monotonic())


def plain(line: str, longest: int = LONGEST_LINE) -> str:
    """One line without what could move a cursor, hide text or break UTF-8; cut when it is long."""
    # Escapes first: what is left of one would be text.
    shown = _ESCAPES.sub("", line[: longest * 4]).rstrip().replace("\t", "    ")
    shown = "".join(c if c.isprintable() else "�" for c in shown)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def code(text: str) -> str:
    """``text`` as inline code of Markdown, whatever is in it."""
    shown = plain(text).strip() or " "
    ticks = "`" * (_longest_run(shown) + 1)
    space = " " if "`" in shown else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def fenced(lines: Iterable[str]) -> list[str]:
    """Lines as a code block of Markdown, whatever is in them."""
    shown = [plain(line) for line in lines]
    ticks = "`" * max(3, max(map(_longest_run, shown), default=0) + 1)
    return [f"{ticks}text", *shown, ticks]


def counted(count: int, word: str) -> str:
    """``1 file``, ``2,000 files``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
