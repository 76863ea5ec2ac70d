"""An artifact: bytes with a media type and a digest. The bytes lie in the store; this is what a record keeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maestro.errors import InputError

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_RESTRICTED_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_RESTRICTED_NAME}/{_RESTRICTED_NAME}(\s*;.*)?\Z")


def checked_sha256(digest: str) -> str:
    """``digest`` itself, if it is 64 lower-case hexadecimal digits.

    Raises:
        InputError: it is not.
    """
    if not isinstance(digest, str) or not _SHA256.match(digest):
        raise InputError(
            f"{str(digest)[:80]!r} is not a sha256 digest", next_step="give 64 lower-case hexadecimal digits"
        )
    return digest


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytes with a media type and a digest.

    Args:
        name: how people and other steps name it (``wheel``, ``dist/app-1.0.whl``).
        sha256: 64 lower-case hexadecimal digits.
        size: bytes.
        media_type: RFC 6838.
        path: where it lay in the workspace, relative, POSIX separators; None when it never was a workspace file.
        executable: the file had its owner's execute bit.

    Raises:
        InputError: a digest, media type or path that is none; a path that leaves the workspace.
    """

    name: str
    sha256: str
    size: int
    media_type: str
    path: str | None
    executable: bool = False

    def __post_init__(self) -> None:
        checked_sha256(self.sha256)
        if not _MEDIA_TYPE.match(self.media_type):
            raise InputError(
                f"artifact '{self.name}': {self.media_type!r} is not a media type",
                next_step="write it as type/subtype, like application/json (RFC 6838)",
            )
        if self.path is not None and not _stays_inside(self.path):
            raise InputError(
                f"artifact '{self.name}': path {self.path!r} leaves the workspace",
                next_step="give a path relative to the workspace, without '..'",
            )

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "size": self.size,
            "media_type": self.media_type,
            "path": self.path,
            "executable": self.executable,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Artifact:
        """The artifact ``document`` describes.

        Raises:
            InputError, KeyError, TypeError: it describes none.
        """
        size = document["size"]
        if not isinstance(size, int) or size < 0:
            raise TypeError("size is not a number of bytes")
        return cls(
            name=document["name"],
            sha256=document["sha256"],
            size=size,
            media_type=document["media_type"],
            path=document["path"],
            executable=bool(document.get("executable", False)),
        )


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One content-addressed object as the store lists it.

    Args:
        sha256: the digest it is stored under; not verified.
        size: bytes.
        last_modified: when it was last written, with time zone.
    """

    sha256: str
    size: int
    last_modified: datetime


def _stays_inside(path: str) -> bool:
    parts = path.split("/")
    return bool(path) and "\0" not in path and "" not in parts and ".." not in parts and path != "."
