"""A catalogue file as plain data, with the place of everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maestro.errors import InputError, Location
from maestro.llm.catalogue import Given
from maestro.llm.catalogue_problems import CatalogueErrors, Problem
from maestro.notation.document import Node
from maestro.notation.yaml_reader import MAX_BYTES, FileKind, refuse_large
from maestro.notation.yaml_reader import parse as parse_yaml

Where = tuple[str | int, ...]
_KIND = FileKind("catalogue", "models: …, routes: …", CatalogueErrors, private=True)


@dataclass(frozen=True, slots=True)
class Tree:
    """A file's data, and where each of its values and keys stands.

    Args:
        values, keys: path from the root -> line and column, from 1.
    """

    file: str
    data: dict[str, Any]
    values: dict[Where, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Where, tuple[int, int]] = field(default_factory=dict)

    def location(self, path: Where, *, key: bool = False) -> Location:
        """The place of the value at ``path``, or of its key; of the nearest thing around it when there is none."""
        while path:
            found = (self.keys if key else self.values).get(path)
            if found:
                return Location(self.file, *found)
            path = path[:-1]
        return Location(self.file, *self.values.get((), (0, 0)))

    def problem(self, path: Where, what: str, *, key: bool = False) -> Problem:
        """A problem with what stands at ``path``."""
        return Problem(self.location(path, key=key), what)


def read(path: Path | Given, *, name: str | None = None) -> Tree | None:
    """The file at ``path``, or what was read of it; None when there is none.

    Args:
        name: what it is called in messages; None: its path.

    Raises:
        CatalogueErrors: it is no YAML, over a limit, or uses a part of YAML that is not taken.
        InputError: it cannot be read.
    """
    if isinstance(path, Given):
        return parse(path.content, file=path.name)
    shown = name or str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(
            f"the catalogue of models cannot be read: {error.strerror or type(error).__name__}",
            where=Location(shown),
            next_step="check the file and its permissions",
        ) from None
    return parse(content, file=shown)


def parse(content: bytes, *, file: str) -> Tree:
    """The data in ``content``; nothing but comments is an empty catalogue.

    Raises:
        CatalogueErrors: as of :func:`read`.
    """
    refuse_large(len(content), file=file, kind=_KIND)
    if all(not line.strip() or line.lstrip().startswith(b"#") for line in content.splitlines()):
        return Tree(file, {})
    root = parse_yaml(content, file=file, kind=_KIND).root
    values: dict[Where, tuple[int, int]] = {}
    keys: dict[Where, tuple[int, int]] = {}
    for path, key, node in _walk(root):
        values[path] = (node.line, node.column)
        if key is not None:
            keys[path] = (key.line, key.column)
    data = root.data()
    # A section whose entries are all commented out.
    return Tree(file, {name: value for name, value in data.items() if value is not None}, values, keys)


def _walk(root: Node) -> Iterator[tuple[Where, Node | None, Node]]:
    """Every node with its path and its key's node; how many there may be, aliases expanded, the reader limits."""
    waiting: list[tuple[Where, Node | None, Node]] = [((), None, root)]
    while waiting:
        path, key, node = waiting.pop()
        yield path, key, node
        for name, (inner, value) in (node.members or {}).items():
            waiting.append(((*path, name), inner, value))
        for place, value in enumerate(node.items or ()):
            waiting.append(((*path, place), None, value))
