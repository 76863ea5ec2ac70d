"""Every error a person can meet: one base, an exit code each.

::

    MaestroError            exit 1   what happened, where, what to do next
    ├── InputError          exit 2   the file, the command line or the repository is wrong
    ├── RunFailedError      exit 1   a run ended in failure
    └── RunCancelledError   exit 130 a run was cancelled
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file. ``line`` and ``column`` count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


class MaestroError(Exception):
    """What happened, where, and what to do next; the CLI prints exactly these three.

    Args:
        what: one sentence, no trailing newline.
        where: the place, when there is one.
        next_step: what the reader does now, as an imperative.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: Location | None = None, next_step: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        following = f"\n  next: {self.next_step}" if self.next_step else ""
        return f"{place}{self.what}{following}"


class InputError(MaestroError):
    """The workflow file, the command line or the repository cannot be used as it is."""

    exit_code = 2


class RunFailedError(MaestroError):
    """A run ended in failure."""

    exit_code = 1


class RunCancelledError(MaestroError):
    """A run was cancelled."""

    exit_code = 130
