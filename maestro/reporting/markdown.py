"""GitHub-flavoured Markdown in which foreign text can do nothing, within a limit of characters.

Whatever is not our own words goes into a code span: there is no markup, no HTML, no mention, no reference and no link
in one (CommonMark 0.31, 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LIMIT = 65_535
"""Characters of a check run's summary and text; a comment may have one more."""
_TICKS = re.compile(r"`+")
_LONGEST_SPAN = 300


def printable(text: str, longest: int = _LONGEST_SPAN) -> str:
    """``text`` on one line, without characters that show as nothing or turn what follows around."""
    plain = "".join(one if one.isprintable() else " " for one in text[: longest * 4])
    plain = " ".join(plain.split())
    return f"{plain[: longest - 1]}…" if len(plain) > longest else plain


def code(text: str, longest: int = _LONGEST_SPAN) -> str:
    """``text`` as a code span; nothing at all when there is none."""
    plain = printable(text, longest)
    if not plain:
        return ""
    fence = "`" * (max((len(run) for run in _TICKS.findall(plain)), default=0) + 1)
    padding = " " if "`" in (plain[0], plain[-1]) else ""
    return f"{fence}{padding}{plain}{padding}{fence}"


def cell(text: str, longest: int = _LONGEST_SPAN) -> str:
    """``text`` as a code span in a table, where a bar would end the cell."""
    return code(text.replace("|", "¦"), longest)


def block(text: str, language: str = "") -> list[str]:
    """``text`` as a code block; lines."""
    lines = ["".join(one if one.isprintable() else " " for one in line) for line in text.splitlines()]
    longest = max((len(run) for line in lines for run in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *lines, fence]


def row(cells: Sequence[str]) -> str:
    """A row of a table; the cells are Markdown."""
    return f"| {' | '.join(cells)} |"


def head(names: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [row(names), row(["---"] * len(names))]


def duration(seconds: float | None) -> str:
    """``1.2 s``, ``3 min 5 s``, ``2 h 4 min``; nothing when unknown."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, left = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {left} s"
    return f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text: what stands before its rows, the rows, and what closes it; each a list of lines.

    Args:
        rows: as many are shown as there is room for; the others are counted.
        folded: its own words over it, when it is shown closed.
    """

    before: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    folded: str | None = None


_MORE = 60


def fitted(parts: Sequence[Part], limit: int = LIMIT) -> str:
    """The parts as one text of at most ``limit`` characters.

    The first are the most important: a part gets what the ones before it left, and one without room for its own frame
    is left out, so that nothing is ever cut within a block.
    """
    shown: list[str] = []
    left = limit
    for part in parts:
        lines = _part(part, left)
        if lines is None:
            continue
        shown += lines
        left -= sum(len(line) + 1 for line in lines)
    return "\n".join(shown).strip("\n") + "\n"


def _part(part: Part, room: int) -> list[str] | None:
    opening = ["<details>", f"<summary>{part.folded}</summary>", ""] if part.folded is not None else []
    closing = ["", "</details>"] if part.folded is not None else []
    frame = [*opening, *part.before, *part.after, *closing, ""]
    left = room - sum(len(line) + 1 for line in frame) - (_MORE if part.rows else 0)
    if left < 0:
        return None
    rows: list[str] = []
    for line in part.rows:
        left -= len(line) + 1
        if left < 0:
            break
        rows.append(line)
    hidden = len(part.rows) - len(rows)
    more = ["", f"… and {hidden:,} more."] if hidden else []
    return [*opening, *part.before, *rows, *more, *part.after, *closing, ""]
