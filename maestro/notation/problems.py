"""What is wrong with a file: every problem with its place, the line, a caret, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maestro.errors import InputError, Location

MAX_SHOWN = 50
_MAX_LINE = 160


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the file.

    Args:
        location: where; line and column count from 1.
        message: one sentence.
        allowed: what may stand there, for people; None when the message says it.
        suggestion: the nearest known name, when what stands there looks like a slip.
        line: the source line, for the caret; empty when there is none.
    """

    location: Location
    message: str
    allowed: str | None = None
    suggestion: str | None = None
    line: str = ""

    def __str__(self) -> str:
        shown = [f"{self.location}: {self.message}"]
        if self.line.strip():
            shown += _line_and_caret(self.line, self.location.column)
        if self.allowed:
            shown.append(f"  allowed: {self.allowed}")
        if self.suggestion:
            shown.append(f'  did you mean "{self.suggestion}"?')
        return "\n".join(shown)


def _line_and_caret(line: str, column: int) -> list[str]:
    start = max(0, column - 1 - _MAX_LINE // 2) if len(line) > _MAX_LINE else 0
    # A caret below a tab or a control character would not stand below its column.
    visible = "".join(character if character.isprintable() else " " for character in line[start : start + _MAX_LINE])
    return [f"  | {visible.rstrip()}", f"  | {' ' * max(0, column - 1 - start)}^"]


class FileErrors(InputError):  # noqa: N818 - it is all of the file's errors
    """A file cannot be used; carries every problem found, in the order of the file.

    Args:
        problems: at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        ordered = sorted(dict.fromkeys(problems), key=lambda problem: (problem.location.line, problem.location.column))
        self.problems: tuple[Problem, ...] = tuple(ordered)
        first = self.problems[0]
        more = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
        super().__init__(f"{first.message}{more}", where=first.location, next_step="correct the file and try again")

    def __str__(self) -> str:
        shown = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        if len(self.problems) > MAX_SHOWN:
            shown.append(f"… and {len(self.problems) - MAX_SHOWN} more problems")
        return "\n".join(shown)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, if any is like it."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def listed(names: Iterable[str], *, none: str = "none") -> str:
    """``a, b, c`` in the order given, shortened when there are many."""
    found: Sequence[str] = list(names)
    if not found:
        return none
    if len(found) > 30:
        return f"{', '.join(found[:30])}, … ({len(found)} in all)"
    return ", ".join(found)
