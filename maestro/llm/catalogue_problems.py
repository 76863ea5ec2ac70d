"""What is wrong with catalogue files: every problem with file, line and column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from maestro.notation.problems import FileErrors, Problem, nearest


class CatalogueErrors(FileErrors):
    """Files of models cannot be used; carries every problem found, in the order of files and lines.

    The lines themselves are never shown, since somebody may have written a key into one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        found = [replace(one, line="") for one in problems]
        super().__init__(found)
        files = {name: place for place, name in enumerate(dict.fromkeys(one.location.file for one in found))}
        # Sorted by lines already, and sorting is stable.
        self.problems = tuple(sorted(self.problems, key=lambda one: files[one.location.file]))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` with the nearest of ``known``; empty when none is near."""
    close = nearest(name, known)
    return f"; did you mean '{close}'?" if close else ""


__all__ = ["CatalogueErrors", "Problem", "did_you_mean"]
