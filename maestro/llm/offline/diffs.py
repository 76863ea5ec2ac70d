"""The unified diff in a text: found wherever it stands, each file read on its own by unidiff."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maestro.llm.offline.text import Deadline

if TYPE_CHECKING:
    from unidiff.patch import PatchedFile

MOST_BYTES = 5_000_000
MOST_FILES = 5_000
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_HEADER = (
    "index ", "old mode ", "new mode ", "new file mode ", "deleted file mode ", "similarity index ",
    "dissimilarity index ", "rename from ", "rename to ", "copy from ", "copy to ", "--- ", "+++ ", "Binary files ",
)  # fmt: skip
_ESCAPED = re.compile(r'\\([0-7]{3}|[abtnvfr"\\])')
_NAMED = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}

Kind = Literal["added", "removed", "renamed", "copied", "changed"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A hunk, as the new file has it.

    Args:
        start: number of its first line in the new file.
        lines: without line ends.
        added: numbers of those that are new.
        within: what the hunk's header says it is in; may be empty.
    """

    start: int
    lines: tuple[str, ...]
    added: frozenset[int]
    within: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a diff.

    Args:
        old_path: of a renamed or copied file.
        mode: its new mode, where that changed.
        unread: why its content cannot be read; empty: it was.
    """

    path: str
    kind: Kind
    added: int = 0
    removed: int = 0
    old_path: str = ""
    binary: bool = False
    mode: str = ""
    pieces: tuple[Piece, ...] = ()
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Diff:
    """The files of a diff, and what of it was left out, in words."""

    files: tuple[FileChange, ...]
    left_out: tuple[str, ...] = ()


def found_diff(text: str, deadline: Deadline) -> Diff | None:
    """The diff in ``text``; None when there is none. More than 5 MB of it are not read."""
    left_out: list[str] = []
    if len(text) > MOST_BYTES:
        text = text[:MOST_BYTES].rpartition("\n")[0] + "\n"
        left_out.append(f"only the first {MOST_BYTES // 10**6} MB of the change were read")
    files: list[FileChange] = []
    parts = list(itertools.islice(_parts(text.split("\n")), MOST_FILES + 1))
    if len(parts) > MOST_FILES:
        parts.pop()
        left_out.append(f"only the first {MOST_FILES:,} files of the change were read")
    for index, part in enumerate(parts):
        if not deadline.left():
            left_out.append(f"there was no time for {len(parts) - index:,} of {len(parts):,} files")
            break
        files += _read(part)
    return Diff(tuple(files), tuple(left_out)) if parts else None


def _parts(lines: Sequence[str]) -> Iterator[list[str]]:
    """The lines of each file; what stands before, between and behind them is left out."""
    position = 0
    while position < len(lines):
        line = lines[position]
        plain = line.startswith("--- ") and "".join(lines[position + 1 : position + 2]).startswith("+++ ")
        if line.startswith("diff --git ") or (plain and _hunk_at(lines, position + 2)):
            end = _end(lines, position)
            yield list(lines[position:end])
            position = end
        else:
            position += 1


def _hunk_at(lines: Sequence[str], position: int) -> bool:
    return position < len(lines) and _HUNK.match(lines[position]) is not None


def _end(lines: Sequence[str], start: int) -> int:
    """Behind the last line that belongs to the file whose header is at ``start``: hunks say how long they are."""
    position = start + 1
    while position < len(lines) and lines[position].startswith(_HEADER):
        position += 1
    if position < len(lines) and lines[position].startswith("GIT binary patch"):
        return _behind_binary(lines, position + 1)
    while _hunk_at(lines, position):
        match = _HUNK.match(lines[position])
        assert match is not None
        old, new = (int(one[:9]) if one is not None else 1 for one in match.groups())
        position += 1
        while position < len(lines) and (old > 0 or new > 0):
            sign = lines[position][:1]
            if sign in (" ", "", "\r"):
                old, new = old - 1, new - 1
            elif sign == "-":
                old -= 1
            elif sign == "+":
                new -= 1
            elif sign != "\\":
                return position
            position += 1
        if position < len(lines) and lines[position].startswith("\\"):
            position += 1
    return position


def _behind_binary(lines: Sequence[str], position: int) -> int:
    """Behind ``literal`` and ``delta``, each of which ends with an empty line."""
    while position < len(lines) and lines[position].startswith(("literal ", "delta ")):
        while position < len(lines) and lines[position]:
            position += 1
        position += 1
    return min(position, len(lines))


def _read(lines: list[str]) -> list[FileChange]:
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    try:
        return [_change(one, lines) for one in PatchSet("\n".join(lines) + "\n")]
    except (UnidiffParseError, ValueError, IndexError, AttributeError) as error:
        return [FileChange(_path_of(lines), "changed", unread=f"not a diff that can be read: {error}")]


def _change(one: PatchedFile, lines: list[str]) -> FileChange:
    header = {
        key: line[len(key) :].rstrip("\r")
        for line in lines[:16]
        for key in ("new mode ", "copy from ", "copy to ")
        if line.startswith(key)
    }
    kind: Kind = "changed"
    old = ""
    if "copy from " in header:
        kind, old = "copied", _unquoted(header["copy from "])
    elif one.is_rename:
        kind, old = "renamed", _bare(one.source_file)
    elif one.is_added_file:
        kind = "added"
    elif one.is_removed_file:
        kind = "removed"
    path = _unquoted(header["copy to "]) if kind == "copied" and "copy to " in header else _bare(one.path)
    binary = one.is_binary_file or any(line.startswith("GIT binary patch") for line in lines[:16])
    pieces = tuple(
        Piece(
            hunk.target_start,
            tuple(line.value.rstrip("\n").rstrip("\r") for line in hunk.target_lines()),
            frozenset(line.target_line_no or 0 for line in hunk.target_lines() if line.is_added),
            hunk.section_header.strip(),
        )
        for hunk in one
    )
    return FileChange(path, kind, one.added, one.removed, old, binary, header.get("new mode ", ""), pieces)


def _path_of(lines: list[str]) -> str:
    for line in lines[:16]:
        if line.startswith("+++ ") and "/dev/null" not in line:
            return _bare(line[4:].partition("\t")[0])
    return _bare(lines[0].rpartition(" ")[2])


def _bare(path: str) -> str:
    shown = _unquoted(path)
    return shown[2:] if shown[:2] in ("a/", "b/") else shown


def _unquoted(path: str) -> str:
    """A path as git writes it: with unusual characters it stands in quotes, its bytes as octal numbers."""
    path = path.rstrip("\r\n")
    if len(path) < 2 or not (path.startswith('"') and path.endswith('"')):
        return path

    def byte(match: re.Match[str]) -> str:
        return chr(_NAMED[match[1]] if match[1] in _NAMED else int(match[1], 8) & 0xFF)

    inner = _ESCAPED.sub(byte, path[1:-1])
    try:
        return inner.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return inner
