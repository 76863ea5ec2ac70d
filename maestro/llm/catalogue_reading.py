"""A catalogue file as plain data, with the place of everything in it, and limits on what a file may do.

The workflow's reader stands above this package and has more of YAML; a catalogue needs neither anchors nor tags, and
without them no small file can stand for a large one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from maestro.errors import InputError, Location
from maestro.llm.catalogue_problems import CatalogueErrors, Problem

MAX_BYTES = 512 * 1024
MAX_DEPTH = 12
MAX_VALUES = 50_000
MAX_TEXT = 2_000

Where = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)\Z", re.IGNORECASE)


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


def read(path: Path, *, name: str | None = None) -> Tree | None:
    """The file at ``path``; None when there is none.

    Args:
        name: what it is called in messages; None: its path.

    Raises:
        CatalogueErrors: it is no YAML, over a limit, or uses a part of YAML that is not taken here.
        InputError: it cannot be read.
    """
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
    """The data in ``content``.

    Raises:
        CatalogueErrors: as of :func:`read`.
    """
    if len(content) > MAX_BYTES:
        raise CatalogueErrors([Problem(Location(file), f"the file has more than {MAX_BYTES // 1024} KiB")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogueErrors([Problem(Location(file, line, 1), "the file is not UTF-8")]) from None
    reader = _Reader(file)
    try:
        data = reader.document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise CatalogueErrors([Problem(where, f"not YAML: {error.problem or 'cannot be read'}")]) from None
    except yaml.YAMLError:
        # The library's message would repeat what stands around the character.
        at = next((place for place, one in enumerate(text) if not one.isprintable() and one not in "\t\n\r"), 0)
        where = Location(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        raise CatalogueErrors([Problem(where, "not YAML: it holds a character that YAML does not take")]) from None
    if reader.problems:
        raise CatalogueErrors(reader.problems)
    return Tree(file, data, reader.values, reader.keys)


class _Reader:
    """Events to data without recursion, so that depth is a limit and not a crash."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[Where, tuple[int, int]] = {}
        self.keys: dict[Where, tuple[int, int]] = {}
        self.problems: list[Problem] = []

    def stop(self, event: Any, what: str) -> NoReturn:
        self.note(event, what)
        raise CatalogueErrors(self.problems)

    def note(self, event: Any, what: str) -> None:
        mark = event.start_mark
        self.problems.append(Problem(Location(self.file, mark.line + 1, mark.column + 1), what))

    def document(self, events: Iterator[Any]) -> dict[str, Any]:
        root: Any = None
        documents = 0
        stack: list[_Open] = []
        event: Any
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.stop(event, "the file has a second document ('---')")
            elif isinstance(event, yaml.AliasEvent):
                self.stop(event, "aliases ('*name') are not taken in a catalogue; write the value out")
            elif isinstance(event, yaml.NodeEvent):
                value = self._value(event, len(stack))
                path, key = self._path(stack, event, value)
                if key:
                    continue
                self._keep(stack, path, event, value)
                if not stack:
                    root = value
                if isinstance(event, yaml.CollectionStartEvent):
                    stack.append(_Open(value, path))
            elif isinstance(event, yaml.CollectionEndEvent):
                stack.pop()
        if root is None:
            return {}
        if not isinstance(root, dict):
            raise CatalogueErrors([Problem(Location(self.file, 1, 1), "a catalogue is a mapping: models, routes …")])
        return root

    def _value(self, event: Any, depth: int) -> Any:
        if event.anchor:
            self.stop(event, "anchors ('&name') are not taken in a catalogue; write the value out")
        if event.tag is not None and event.tag != "!":
            self.stop(event, "tags ('!…') are not taken in a catalogue; it holds plain values only")
        if len(self.values) > MAX_VALUES:
            self.stop(event, f"the file holds more than {MAX_VALUES:,} values")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if depth >= MAX_DEPTH:
            self.stop(event, f"nested deeper than {MAX_DEPTH} levels")
        return {} if isinstance(event, yaml.MappingStartEvent) else []

    def _path(self, stack: list[_Open], event: Any, value: Any) -> tuple[Where, bool]:
        """Where the value goes, and whether it is a key."""
        if not stack:
            return (), False
        opened = stack[-1]
        if isinstance(opened.value, list):
            return (*opened.path, len(opened.value)), False
        if opened.key is None:
            if not isinstance(event, yaml.ScalarEvent):
                self.stop(event, "a key must be a plain word")
            path = (*opened.path, event.value)
            if event.value in opened.value:
                first = self.keys[path]
                self.note(event, f"'{event.value[:60]}' is given twice; first at line {first[0]}")
            else:
                mark: Any = event.start_mark
                self.keys[path] = (mark.line + 1, mark.column + 1)
            opened.key = event.value
            return path, True
        path = (*opened.path, opened.key)
        return path, False

    def _keep(self, stack: list[_Open], path: Where, event: Any, value: Any) -> None:
        self.values[path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        if not stack:
            return
        opened = stack[-1]
        if isinstance(opened.value, list):
            opened.value.append(value)
        else:
            opened.value[opened.key] = value
            opened.key = None

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if len(text) > MAX_TEXT:
            self.note(event, f"a text of more than {MAX_TEXT:,} characters")
        if event.style or event.tag:
            return text
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _INTEGER.match(text):
            return int(text)
        if _NOT_FINITE.match(text):
            self.note(event, f"'{text}' is not a finite number")
            return 0.0
        if _FLOAT.match(text):
            number = float(text)
            if number in (float("inf"), float("-inf")):
                self.note(event, f"'{text[:40]}' is too large a number")
                return 0.0
            return number
        return text


@dataclass(slots=True)
class _Open:
    """A mapping or a list whose end has not come yet."""

    value: Any
    path: Where
    key: str | None = None
