"""Reads advisories from folders and zip archives; nothing is unpacked to disk, and anything odd is refused."""

from __future__ import annotations

import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from maestro.vulnerabilities.advisory import Advisory, is_advisory, parse_advisory
from maestro.vulnerabilities.errors import AdvisoryError

_ENDINGS = (".json", ".yaml", ".yml")
_ANCHOR = re.compile(rb"[&*][^\s\[\]{},]")
_NEXT = "nothing was changed; update from a source you trust"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a source of advisories may hold.

    Args:
        file_bytes: of one advisory.
        total_bytes: of all, unpacked.
        files: how many.
        ratio: unpacked over packed bytes of a whole archive; JSON is packed about 1 : 10.
    """

    file_bytes: int = 32 * 2**20
    total_bytes: int = 16 * 2**30
    files: int = 2_000_000
    ratio: int = 200


LIMITS = Limits()


def read_source(place: Path, limits: Limits = LIMITS) -> Iterator[Advisory]:
    """The advisories of a folder (all beneath it, zip archives included) or of one zip archive.

    Files that are not JSON or YAML, hidden ones, and documents that do not claim to be advisories are passed over.

    Raises:
        AdvisoryError: there is no such place; a file cannot be read; an archive leads out of its folder, holds links,
            is damaged or too large.
    """
    if place.is_dir():
        yield from _folder(place, limits)
    elif place.is_file():
        yield from _archive(place, limits)
    else:
        raise AdvisoryError(f"there are no advisories at '{place}'", next_step="name a folder or a zip archive")


def _folder(folder: Path, limits: Limits) -> Iterator[Advisory]:
    count = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            file = Path(parent, name)
            # A link may lead anywhere, also to a file that never ends.
            if name.startswith(".") or file.is_symlink() or not file.is_file():
                continue
            if name.endswith(".zip"):
                yield from _archive(file, limits)
            elif name.endswith(_ENDINGS):
                count += 1
                if count > limits.files:
                    raise _refused(str(folder), f"it has more than {limits.files:,} files")
                yield from _advisory(_content(file, limits), str(file))


def _content(file: Path, limits: Limits) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(limits.file_bytes + 1)
    except OSError as error:
        raise _refused(str(file), f"it cannot be read: {error.strerror}") from error
    if len(data) > limits.file_bytes:
        raise _refused(str(file), f"it has more than {limits.file_bytes:,} bytes")
    return data


def _archive(file: Path, limits: Limits) -> Iterator[Advisory]:
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in _checked(file, archive, limits):
                with archive.open(entry) as opened:
                    # The size in the directory was checked; what is really there may be more.
                    data = opened.read(limits.file_bytes + 1)
                if len(data) > limits.file_bytes:
                    raise _refused(f"{file}:{entry.filename}", f"it has more than {limits.file_bytes:,} bytes")
                yield from _advisory(data, f"{file}:{entry.filename}")
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _refused(str(file), f"it is no usable zip archive: {error}") from error
    except _zlib_error() as error:
        raise _refused(str(file), f"it is damaged: {error}") from error


def _zlib_error() -> type[Exception]:
    import zlib

    return zlib.error


def _checked(file: Path, archive: zipfile.ZipFile, limits: Limits) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > limits.files:
        raise _refused(str(file), f"it has more than {limits.files:,} entries")
    packed = unpacked = 0
    for entry in entries:
        place = PurePosixPath(entry.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or ":" in entry.filename.partition("/")[0]:
            raise _refused(str(file), f"its entry {entry.filename[:80]!r} leads out of the archive")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _refused(str(file), f"its entry {entry.filename[:80]!r} is a link")
        if entry.file_size > limits.file_bytes:
            raise _refused(str(file), f"its entry {entry.filename[:80]!r} has {entry.file_size:,} bytes")
        packed, unpacked = packed + entry.compress_size, unpacked + entry.file_size
    if unpacked > limits.total_bytes:
        raise _refused(str(file), f"it unpacks to {unpacked:,} bytes; {limits.total_bytes:,} are allowed")
    # Entries may overlap in a bomb, so the archive's own size counts, not the sum of what they claim.
    if unpacked > limits.file_bytes and unpacked > limits.ratio * min(packed, file.stat().st_size):
        raise _refused(str(file), f"it unpacks to more than {limits.ratio} times its size")
    return [one for one in entries if not one.is_dir() and one.filename.endswith(_ENDINGS)]


def _advisory(data: bytes, where: str) -> Iterator[Advisory]:
    document = _document(data, where)
    if is_advisory(document):
        yield parse_advisory(document, where)


def _document(data: bytes, where: str) -> Any:
    try:
        if where.endswith(".json"):
            return json.loads(data)
        if _ANCHOR.search(data) and _has_alias(data):
            raise _refused(where, "it uses YAML aliases, by which a small file becomes a huge one")
        return yaml.load(data, Loader=_Texts)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        kind = "JSON" if where.endswith(".json") else "YAML"
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0][:200]
        raise _refused(where, f"it is no {kind}: {problem}") from error


def _has_alias(data: bytes) -> bool:
    return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, Loader=_Texts))


class _Texts(yaml.CSafeLoader):
    """Takes plain scalars for text, but null and booleans: version 1.10 is not the number 1.1."""


_Texts.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":bool", ":merge"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _refused(where: str, why: str) -> AdvisoryError:
    return AdvisoryError(f"'{where}' is refused: {why}", next_step=_NEXT)
