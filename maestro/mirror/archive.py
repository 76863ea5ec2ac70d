"""The archive a revision travels in: what ``pack_source`` writes and ``unpack_source`` reads.

A tar with ``source.json`` first, and a git pack for the repository and each submodule. Not a git bundle: that cannot
say where its history ends, so one with fifty commits would not unpack into an empty repository.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maestro.mirror.errors import MirrorError
from maestro.mirror.names import checked_commit

FORMAT = 1
MEDIA_TYPE = "application/vnd.maestro.source.v1+tar"
INDEX = "source.json"
_LARGEST_INDEX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PackedRepository:
    """One repository of an archive.

    Args:
        path: of the submodule, relative to the top; empty for the top itself.
        sha: the commit.
        url: the origin.
        shallow: commits whose parents are not packed.
        references: in the format of ``packed-refs``.
        pack: the tar member with the objects.
    """

    path: str
    sha: str
    url: str
    shallow: tuple[str, ...]
    references: str
    pack: str


@dataclass(frozen=True, slots=True)
class PackedFile:
    """The content of a Git LFS file: ``path`` relative to the top, ``member`` of the tar."""

    path: str
    member: str


@dataclass(frozen=True, slots=True)
class SourceIndex:
    """What an archive holds; the first repository is the top, outer ones come before inner ones."""

    repositories: tuple[PackedRepository, ...]
    files: tuple[PackedFile, ...] = ()

    def to_bytes(self) -> bytes:
        """JSON, the same for the same content."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> SourceIndex:
        """The index ``data`` writes.

        Raises:
            MirrorError: it is of another version, or damaged.
        """
        try:
            document = json.loads(data)
            if document["format"] != FORMAT:
                raise MirrorError(
                    f"the source archive has format {document['format']!r}; this Maestro reads {FORMAT}",
                    next_step="run the same version of Maestro on server and workers",
                )
            repositories = tuple(_repository(one) for one in document["repositories"])
            files = tuple(PackedFile(_inside(one["path"]), one["member"]) for one in document["files"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MirrorError("this is not an archive of a source", next_step="pack the revision again") from error
        if not repositories or repositories[0].path:
            raise MirrorError("this is not an archive of a source", next_step="pack the revision again")
        return cls(repositories, files)


def _repository(one: Mapping[str, Any]) -> PackedRepository:
    path = _inside(one["path"]) if one["path"] else ""
    shallow = tuple(checked_commit(sha) for sha in one["shallow"])
    return PackedRepository(path, checked_commit(one["sha"]), one["url"], shallow, one["references"], one["pack"])


def _inside(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "" in parts or "." in parts or ".." in parts or ".git" in map(str.lower, parts):
        raise ValueError(path)
    return path


def add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a member; nothing but its name and bytes says anything about when or where."""
    archive.addfile(_member(name, len(data)), io.BytesIO(data))


def add_file(archive: tarfile.TarFile, name: str, file: Path) -> None:
    """Adds a member from a file, as ``add_bytes``."""
    with file.open("rb") as source:
        archive.addfile(_member(name, file.stat().st_size), source)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member


def read_index(archive: tarfile.TarFile) -> SourceIndex:
    """The index of an archive.

    Raises:
        MirrorError: it has none that can be read.
    """
    member = archive.next()
    source = archive.extractfile(member) if member and member.name == INDEX and member.size < _LARGEST_INDEX else None
    if source is None:
        raise MirrorError("this is not an archive of a source", next_step="pack the revision again")
    return SourceIndex.from_bytes(source.read())
