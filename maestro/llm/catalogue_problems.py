"""What is wrong with a catalogue file: every problem with file, line and column."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from maestro.errors import InputError, Location

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    The line itself is never shown, since somebody may have written a key into it.
    """

    where: Location
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class CatalogueErrors(InputError):  # noqa: N818 - it is all of the files' errors
    """Files of models cannot be used; carries every problem found, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        files = {name: place for place, name in enumerate(dict.fromkeys(one.where.file for one in unique))}
        self.problems = tuple(sorted(unique, key=lambda one: (files[one.where.file], one.where.line, one.where.column)))
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"{first.what}{more}", where=first.where, next_step="correct the file and try again")

    def __str__(self) -> str:
        shown = [str(problem) for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            shown.append(f"… and {len(self.problems) - _SHOWN} more problems")
        return "\n".join(shown)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` with the nearest of ``known``; empty when none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.55)
    return f"; did you mean '{close[0]}'?" if close else ""
