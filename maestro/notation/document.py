"""The tree of a file: plain data, and the line and column of everything in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maestro.errors import Location
from maestro.notation.problems import Problem

Path = tuple[str | int, ...]


@dataclass(slots=True, eq=False)
class Node:
    """A value of the document and its place.

    Args:
        line: counts from 1.
        column: counts from 1, in characters.
        start: offset of its first character in the text; for a block scalar, of its ``|`` or ``>``.
        end: offset after its last character.
        value: the scalar's value; None for a mapping or a sequence.
        raw: the scalar's text as a plain scalar gives it; None for mappings and sequences.
        plain: True for a scalar without quotes.
        members: a mapping's values by key, with the key's own node.
        items: a sequence's values.
        size: how many nodes it stands for when aliases are expanded.
        height: levels of collections in it, itself included; 0 for a scalar.
    """

    line: int
    column: int
    start: int
    end: int
    value: Any = None
    raw: str | None = None
    plain: bool = False
    members: dict[str, tuple[Node, Node]] | None = None
    items: list[Node] | None = None
    size: int = 1
    height: int = 0

    def child(self, key: str | int) -> Node | None:
        """The value under ``key``, None when there is none."""
        if self.members is not None and isinstance(key, str):
            return self.members[key][1] if key in self.members else None
        if self.items is not None and isinstance(key, int):
            return self.items[key] if 0 <= key < len(self.items) else None
        return None

    def data(self) -> Any:
        """Plain data, new at every call; aliases are expanded."""
        if self.members is not None:
            return {key: value.data() for key, (_, value) in self.members.items()}
        if self.items is not None:
            return [item.data() for item in self.items]
        return self.value


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its tree of nodes and its text, for places and carets."""

    file: str
    text: str
    root: Node

    def find(self, path: Path) -> tuple[Node, int]:
        """The node at ``path``, or the deepest one on the way, and how many parts of the path lead to it."""
        node = self.root
        for depth, part in enumerate(path):
            child = node.child(part)
            if child is None:
                return node, depth
            node = child
        return node, len(path)

    def location(self, path: Path, *, key: bool = False) -> Location:
        """Place of the value at ``path``, or of its key; of the nearest parent when there is no such value."""
        node, depth = self.find(path)
        if key and path and depth == len(path):
            parent, _ = self.find(path[:-1])
            if parent.members is not None and isinstance(path[-1], str):
                node = parent.members[path[-1]][0]
        return Location(self.file, node.line, node.column)

    def problem(
        self,
        location: Location,
        message: str,
        *,
        allowed: str | None = None,
        suggestion: str | None = None,
    ) -> Problem:
        """A problem at ``location`` with the line it stands on."""
        return Problem(location, message, allowed, suggestion, line_of(self.text, location.line))

    def offset_location(self, offset: int) -> Location:
        """Place of the character at ``offset`` of the text."""
        line = self.text.count("\n", 0, offset) + 1
        return Location(self.file, line, offset - (self.text.rfind("\n", 0, offset) + 1) + 1)


def line_of(text: str, line: int) -> str:
    """Line number ``line`` of ``text`` without its end; empty when there is none."""
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
        if not start:
            return ""
    end = text.find("\n", start)
    return text[start : len(text) if end < 0 else end].rstrip("\r")


def describe(value: Any) -> str:
    """What ``value`` is, in the words of the file: ``the text 'abc'``, ``a list``, ``nothing``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text '{value if len(value) <= 40 else value[:39] + '…'}'"
    return "a mapping" if isinstance(value, dict) else "a list"
