"""Collects problems while a document is checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from maestro.notation.document import Document, Path
from maestro.notation.problems import Problem, listed, nearest
from maestro.workflow.shape import place

_CATEGORIES = {"step": "steps", "secret": "secrets"}  # pragma: allowlist secret


@dataclass(slots=True)
class Findings:
    """The document being checked, its data, and what was found so far.

    Args:
        data: plain data; after a repair, what is left of it.
        lost: names a repair may have taken away (``params.level``, ``steps.build``); not reported as unknown.
    """

    document: Document
    data: Any
    problems: list[Problem] = field(default_factory=list)
    lost: frozenset[str] = frozenset()

    def add(
        self,
        path: Path,
        message: str,
        *,
        key: bool = False,
        allowed: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        """A problem with the value at ``path``, or with its key."""
        location = place(self.document, path, key=key)
        self.problems.append(self.document.problem(location, message, allowed=allowed, suggestion=suggestion))

    def unknown(self, path: Path, what: str, name: str, known: Iterable[str], *, none: str = "none is defined") -> None:
        """``name`` is not among ``known``; says nothing when a repair may have taken it away."""
        names = list(known)
        if f"{_CATEGORIES.get(what, what)}.{name}" not in self.lost:
            self.add(
                path, f"unknown {what} '{name}'", allowed=listed(names, none=none), suggestion=nearest(name, names)
            )

    def at(self, path: Path) -> Any:
        """The data at ``path``; None when there is none."""
        found = self.data
        for part in path:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return None
        return found
