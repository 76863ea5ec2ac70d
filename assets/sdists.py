"""Makes a source distribution hold the source alone, and the same bytes whenever it is built."""

from __future__ import annotations

import gzip
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

OWN = ".maestro"
"""Folder of Maestro's state, which holds private keys."""

_TIMES = frozenset({"mtime", "atime", "ctime"})
_IGNORE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Tidied:
    """What was done to an archive: whether times were set, and the folders that were left out, sorted."""

    clamped: bool
    left_out: tuple[str, ...]


def tidy(file: Path, latest: int) -> Tidied:
    """Rewrite the ``.tar.gz`` without what is no source, and with no time in it later than ``latest``, Unix seconds.

    Some build backends, hatchling among them, read the ``.gitignore`` of the repository's top alone, and so take in
    Maestro's state and reports. Left out are ``.maestro`` and every folder that came with a ``.gitignore`` by which it
    ignores itself. Setuptools ignores ``SOURCE_DATE_EPOCH`` for source distributions and writes the times of the
    checkout. What is clamped, and that owners are dropped, is as reproducible-builds.org says under "Archives". An
    archive that needs neither is left byte for byte as it is.
    """
    with file.open("rb") as stream:
        # RFC 1952: four bytes of modification time, little-endian, after magic, method and flags.
        head = stream.read(8)
    with tarfile.open(file, "r:gz") as archive:
        written = struct.unpack("<I", head[4:])[0]
        folders = frozenset(_ignored(archive))
        late = written > latest or any(member.mtime > latest for member in archive)
    if not late and not folders:
        return Tidied(False, ())
    partial = file.with_name(f"{file.name}.partial")
    with (
        tarfile.open(file, "r:gz") as source,
        partial.open("wb") as out,
        gzip.GzipFile("", "wb", 9, out, mtime=min(written, latest)) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in _clamped(source, latest):
            if not _within(member.name, folders):
                target.addfile(member, source.extractfile(member) if member.isreg() else None)
    partial.replace(file)
    return Tidied(late, tuple(sorted(str(folder) for folder in folders)))


def _ignored(archive: tarfile.TarFile) -> Iterator[PurePosixPath]:
    """Folders that are no source. The archive's own top folder is none of them."""
    for member in archive:
        path = PurePosixPath(member.name)
        if OWN in path.parts[1:]:
            yield PurePosixPath(*path.parts[: path.parts.index(OWN, 1) + 1])
        elif path.name == ".gitignore" and len(path.parts) > 2 and member.isreg() and member.size <= _IGNORE_LIMIT:
            opened = archive.extractfile(member)
            if opened is not None and b"*" in (line.strip() for line in opened.read().splitlines()):
                yield path.parent


def _within(name: str, folders: frozenset[PurePosixPath]) -> bool:
    path = PurePosixPath(name)
    return path in folders or any(parent in folders for parent in path.parents)


def _clamped(source: tarfile.TarFile, latest: int) -> Iterator[tarfile.TarInfo]:
    for member in source:
        member.mtime = min(int(member.mtime), latest)
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.pax_headers = {key: value for key, value in member.pax_headers.items() if key not in _TIMES}
        yield member
