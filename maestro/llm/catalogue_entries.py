"""Entries of several catalogue files, joined field by field; each field knows the file and place it is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maestro.llm.catalogue_problems import Problem
from maestro.llm.catalogue_reading import Tree, Where


@dataclass(frozen=True, slots=True)
class Field:
    """A value of an entry; of the whole entry, the one under the empty name."""

    value: Any
    tree: Tree
    path: Where

    def problem(self, what: str, *below: str | int) -> Problem:
        """A problem with it, or with what stands at ``below`` in it."""
        return self.tree.problem((*self.path, *below), what)


Entry = dict[str, Field]
Section = dict[str, Entry]


def values_of(entry: Entry) -> dict[str, Any]:
    """The plain values of an entry."""
    return {key: field.value for key, field in entry.items() if key}
