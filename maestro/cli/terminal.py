"""Writing for people: colours where they are wanted, tables, times."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, TextIO

from maestro.cli.options import GlobalOptions

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}

STATE_COLORS = {
    "run": "blue",
    "running": "blue",
    "cached": "cyan",
    "passed": "green",
    "succeeded": "green",
    "ok": "green",
    "failed": "red",
    "fail": "red",
    "cancelled": "yellow",
    "warned": "yellow",
    "warn": "yellow",
    "retrying": "yellow",
    "cancelling": "yellow",
    "skip": "dim",
    "skipped": "dim",
    "waiting": "dim",
    "queued": "dim",
    "decide": "yellow",
}


class Terminal:
    """Writes lines to a stream.

    Args:
        stream: standard output when None, as it is at the time.
    """

    def __init__(self, options: GlobalOptions, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.interactive = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self.colored = options.color == "always" or (
            options.color == "auto" and self.interactive and not os.environ.get("NO_COLOR")
        )

    def paint(self, text: str, *styles: str) -> str:
        """``text`` in a style, where colours are wanted."""
        codes = ";".join(_CODES[style] for style in styles if style)
        return f"\x1b[{codes}m{text}\x1b[0m" if self.colored and codes and text else text

    def state(self, word: str) -> str:
        """A state in its colour."""
        return self.paint(word, STATE_COLORS.get(word, ""))

    def line(self, text: str = "") -> None:
        """One line."""
        self.stream.write(f"{text}\n")

    def json(self, value: Any) -> None:
        """One JSON object, indented; keys keep their order."""
        self.line(json.dumps(value, indent=2, ensure_ascii=False, default=str))

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], *, painted: int | None = None) -> list[str]:
        """Lines of a table whose last column is as wide as it likes; column ``painted`` holds states."""
        widths = [max(width(row[place]) for row in [heads, *rows]) for place in range(len(heads) - 1)]
        lines = []
        for number, row in enumerate([heads, *rows]):
            cells = []
            for place, cell in enumerate(row):
                shown = cell if place == len(row) - 1 else pad(cell, widths[place])
                if number == 0:
                    shown = self.paint(shown, "dim")
                elif place == painted:
                    shown = self.paint(shown, STATE_COLORS.get(cell, ""))
                cells.append(shown)
            lines.append("  ".join(cells).rstrip())
        return lines


def width(text: str) -> int:
    """Columns ``text`` takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, columns: int) -> str:
    """``text`` filled up to ``columns``."""
    return text + " " * max(0, columns - width(text))


def printable(text: str) -> str:
    """``text`` without control characters, which could move the cursor or recolour what follows."""
    return "".join(c if c.isprintable() else " " for c in text)


def seconds(value: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: int) -> str:
    """``512 B``, ``1.4 KiB``, ``20 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def plural(count: int, word: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
