"""YAML to a tree of nodes, with limits on what a file may do.

Scalars follow the YAML 1.2 core schema: only ``true`` and ``false`` are booleans (``on``, ``yes`` and ``no`` are text),
``1:30`` is text, keys are always text. Each scalar keeps its raw text, so that ``version: 1.0`` can be given as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from maestro.errors import Location
from maestro.notation.document import Document, Node, describe, line_of
from maestro.notation.problems import FileErrors, Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_EXPANDED = 20_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_ALLOWED_TAGS = {f"{_CORE}str", f"{_CORE}map", f"{_CORE}seq", "!"}
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_DIGITS = 30


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is, in the words of its errors.

    Args:
        noun: ``workflow``, ``prompt`` …
        example: what its top looks like.
        errors: what is raised.
        private: whether the text of the file is not repeated, since a key may stand in it.
    """

    noun: str
    example: str
    errors: type[FileErrors] = FileErrors
    private: bool = False


def parse(content: bytes, *, file: str, kind: FileKind) -> Document:
    """The document in ``content``.

    Raises:
        FileErrors: not UTF-8, not YAML, over a limit, or using a part of YAML that is not taken.
    """
    refuse_large(len(content), file=file, kind=kind)
    text = _decode(content, file, kind)
    builder = _Builder(file, text, kind)
    events = _events(text, builder)
    root = builder.build(events)
    if builder.problems:
        raise kind.errors(builder.problems)
    return Document(file, text, root)


def refuse_large(size: int, *, file: str, kind: FileKind) -> None:
    """Raise FileErrors when ``size``, in bytes, is over the limit."""
    if size > MAX_BYTES:
        message = f"the file has {size / MAX_BYTES:,.1f} MiB; a {kind.noun} file may have at most 1 MiB"
        raise kind.errors([Problem(Location(file), message)])


def _decode(content: bytes, file: str, kind: FileKind) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec that drops a byte order mark counts from after it.
        skipped = 3 if content.startswith(b"\xef\xbb\xbf") else 0
        before = content[: error.start + skipped].decode("utf-8-sig", errors="replace")
        byte = content[error.start + skipped]
        place = Location(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        message = f"the file is not UTF-8: byte 0x{byte:02x}"
        raise kind.errors([Problem(place, message, allowed="text in UTF-8")]) from None
    # Line ends are made equal, so that places count the same as in an editor.
    text = text.replace("\r\n", "\n")
    found = _UNPRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        place = Location(file, line, found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1)
        message = f"the control character U+{ord(found.group()):04X} is not allowed in a {kind.noun} file"
        raise kind.errors([Problem(place, message, line=line_of(text, line))])
    return text


def _events(text: str, builder: _Builder) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise builder.syntax(error) from None


class _Builder:
    """Builds nodes from parser events without recursion, so that depth is a limit and not a crash."""

    def __init__(self, file: str, text: str, kind: FileKind) -> None:
        self.file = file
        self.kind = kind
        self.text = text
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}
        self.expanded = 0

    def fail(self, mark: Any, message: str, allowed: str | None = None) -> NoReturn:
        """Stop at a parser's mark: the rest of the document cannot be understood."""
        raise self.kind.errors([*self.problems, self._problem(mark.line + 1, mark.column + 1, message, allowed)])

    def fail_at(self, node: Node, message: str, allowed: str | None = None) -> NoReturn:
        """Stop at a node: the rest of the document cannot be understood, or must not be expanded."""
        self.note(node, message, allowed)
        raise self.kind.errors(self.problems)

    def note(self, node: Node, message: str, allowed: str | None = None) -> None:
        """Remember a problem and go on."""
        self.problems.append(self._problem(node.line, node.column, message, allowed))

    def _problem(self, line: int, column: int, message: str, allowed: str | None) -> Problem:
        return Problem(Location(self.file, line, column), message, allowed, line=line_of(self.text, line))

    def syntax(self, error: yaml.MarkedYAMLError) -> FileErrors:
        """The parser's error in words for people."""
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        source = line_of(self.text, line)
        indentation = source[: len(source) - len(source.lstrip())]
        if "\t" in indentation:
            problem = self._problem(
                line, indentation.index("\t") + 1, "a tab is used as indentation; YAML takes only spaces", "spaces"
            )
        else:
            context = f" {error.context}" if error.context else ""
            quotes = "a text with '{{ … }}' stands in quotes" if "{{" in source else None
            problem = self._problem(line, column, f"not YAML: {error.problem or 'cannot be read'}{context}", quotes)
        return self.kind.errors([*self.problems, problem])

    def build(self, events: Iterator[Any]) -> Node:
        """The root of the first document; refuses a second one."""
        root: Node | None = None
        stack: list[_Open] = []
        event: Any
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self.fail(
                    event.start_mark, f"the file has a second document ('---'); one {self.kind.noun} is one document"
                )
            elif isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
                node = self._alias(event) if isinstance(event, yaml.AliasEvent) else self._scalar(event)
                root = self._place(stack, node, isinstance(event, yaml.AliasEvent), event) or root
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                if len(stack) >= MAX_DEPTH:
                    self.fail(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
                stack.append(_Open(self._collection(event), event.anchor))
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                done = stack.pop()
                end: Any = event.end_mark
                done.node.end = end.index
                self._close(done)
                root = self._place(stack, done.node, False, event) or root
        if root is None or (root.members is None and root.value is None and root.raw in _NULL):
            raise self.kind.errors(
                [Problem(Location(self.file), "the file is empty", allowed="a mapping with 'name' …")]
            )
        if root.members is None:
            data = root.data()
            held = "a text" if self.kind.private and isinstance(data, str) else describe(data)
            self.note(root, f"the file holds {held}; a {self.kind.noun} is a mapping", self.kind.example)
        return root

    def _collection(self, event: Any) -> Node:
        self._check_tag(event)
        mark = event.start_mark
        node = Node(mark.line + 1, mark.column + 1, mark.index, mark.index, height=1)
        if isinstance(event, yaml.MappingStartEvent):
            node.members = {}
        else:
            node.items = []
        if event.anchor:
            self.anchors[event.anchor] = None
        return node

    def _close(self, done: _Open) -> None:
        node = done.node
        for source in done.merges:
            node.height = max(node.height, source.height)
            for key, pair in (source.members or {}).items():
                assert node.members is not None
                if key not in node.members:
                    node.members[key] = pair
                    node.size += pair[1].size
        if done.anchor:
            self.anchors[done.anchor] = node

    def _place(self, stack: list[_Open], node: Node, is_alias: bool, event: Any) -> Node | None:
        """Put ``node`` where the parser is; gives it back when it is the root."""
        if not stack:
            return node
        opened = stack[-1]
        parent = opened.node
        parent.height = max(parent.height, node.height + 1)
        if len(stack) + node.height > MAX_DEPTH:
            self.fail(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
        if parent.items is not None:
            parent.items.append(node)
            parent.size += node.size
            return None
        if opened.key is None:
            if self.text.startswith("{{", parent.start):
                self.fail_at(parent, "an expression must stand in quotes", "'{{ … }}'")
            if is_alias:
                self.fail(event.start_mark, "a key must be text", "a plain word")
            if node.raw is None:
                self.fail_at(node, "a key must be text", "a plain word")
            opened.key = node
            return None
        key, opened.key = opened.key, None
        assert parent.members is not None and key.raw is not None
        if key.raw == "<<" and key.plain:
            opened.merges += self._merge_sources(node)
        elif key.raw in parent.members:
            first = parent.members[key.raw][0]
            self.note(key, f"the key '{key.raw}' is given twice; first at line {first.line}, column {first.column}")
        else:
            parent.members[key.raw] = (key, node)
            parent.size += node.size
        return None

    def _merge_sources(self, node: Node) -> list[Node]:
        sources = node.items if node.items is not None else [node]
        for source in sources:
            if source.members is None:
                self.note(
                    source, f"'<<' merges mappings, found {describe(source.data())}", "a mapping, or a list of them"
                )
            self._expand(source, source)
        return sources

    def _expand(self, node: Node, place: Node) -> None:
        self.expanded += node.size
        if self.expanded > MAX_EXPANDED:
            self.fail_at(
                place, f"the aliases of this file stand for more than {MAX_EXPANDED:,} values", "fewer aliases"
            )

    def _alias(self, event: Any) -> Node:
        mark = event.start_mark
        if event.anchor not in self.anchors:
            self.fail(mark, f"the alias '*{event.anchor}' has no anchor before it", f"&{event.anchor} on a value above")
        target = self.anchors[event.anchor]
        if target is None:
            self.fail(mark, f"the alias '*{event.anchor}' stands inside its own anchor")
        self._expand(target, Node(mark.line + 1, mark.column + 1, mark.index, mark.index))
        return target

    def _scalar(self, event: Any) -> Node:
        mark = event.start_mark
        plain = event.style is None or event.style == ""
        node = Node(mark.line + 1, mark.column + 1, mark.index, event.end_mark.index, event.value, event.value, plain)
        self._check_tag(event)
        if plain and event.tag is None:
            node.value = self._resolve(node, event.value)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag not in _ALLOWED_TAGS:
            shown = f"!!{event.tag[len(_CORE) :]}" if event.tag.startswith(_CORE) else event.tag
            mark = event.start_mark
            node = Node(mark.line + 1, mark.column + 1, mark.index, mark.index)
            self.note(node, f"the tag '{shown}' is not allowed; a {self.kind.noun} file holds plain values only")

    def _resolve(self, node: Node, text: str) -> Any:
        if text in _NULL:
            return None
        if text in _BOOLEAN:
            return _BOOLEAN[text]
        if text[0] not in "+-.0123456789":
            return text
        if _INTEGER.match(text) and len(text) <= _MAX_DIGITS:
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _NOT_FINITE.match(text):
            self.note(node, f"'{text}' is not a finite number", "a number, or the text in quotes")
            return text
        if _FLOAT.match(text) or _INTEGER.match(text):
            number = float(text) if len(text) <= _MAX_DIGITS else float("inf")
            if number in (float("inf"), float("-inf")):
                self.note(node, f"'{text[:40]}' is too large a number", "a smaller number, or the text in quotes")
                return text
            return number
        return text


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    node: Node
    anchor: str | None
    key: Node | None = None
    merges: list[Node] = field(default_factory=list)
