"""How a file of a workspace gets into the store: a regular file, hashed, then written under its digest."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.artifacts import keys, media_types
from maestro.artifacts.artifact import Artifact
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.artifacts.store import ArtifactStore

_IN_MEMORY = 8 * 1024 * 1024
_CHUNK = 1024 * 1024


def put_file(store: ArtifactStore, file: Path, *, name: str, media_type: str | None, path: str | None) -> Artifact:
    """Keep ``file``; see :meth:`ArtifactStore.put_file`."""
    with _open_regular(file) as source:
        status = os.fstat(source.fileno())
        small = status.st_size <= _IN_MEMORY
        try:
            data = source.read() if small else b""
            digest = hashlib.sha256(data) if small else hashlib.file_digest(source, "sha256")
        except OSError as error:
            raise InputError(
                f"{file} cannot be read: {error.strerror}", next_step="check the disk it lies on"
            ) from error
        artifact = Artifact(
            name=name,
            sha256=digest.hexdigest(),
            size=len(data) if small else source.tell(),
            media_type=media_type or media_types.guess(path or file.name),
            path=path,
            executable=bool(status.st_mode & stat.S_IXUSR),
        )
        if small:
            store.keep(artifact, data)
        elif not store.settled(artifact.sha256, artifact.size):
            # A put with mode="create" holds the whole file in memory. Overwriting is as safe here: whoever
            # writes this key writes these very bytes, because the chunks are hashed again on the way.
            store.objects.replace(keys.cas(artifact.sha256), _unchanged(source, file, artifact.sha256))
    return artifact


def _open_regular(file: Path) -> BufferedReader:
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise InputError(
                f"{file} is a symbolic link; only regular files are kept as artifacts",
                next_step="name the file it points to, or let the step copy it",
            )
        if stat.S_ISDIR(mode):
            raise InputError(
                f"{file} is a folder; only regular files are kept as artifacts",
                next_step="name its files (for example with a glob), or let the step pack it",
            )
        if not stat.S_ISREG(mode):
            raise InputError(
                f"{file} is no regular file; only regular files are kept as artifacts",
                next_step="let the step write its output to a regular file",
            )
        # O_NOFOLLOW: it may have become a link since.
        return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except FileNotFoundError as error:
        raise InputError(
            f"{file} does not exist, so it cannot be kept as an artifact",
            next_step="let the step write it, or correct the path of the output",
        ) from error
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}", next_step="check its path and its permissions"
        ) from error


def _unchanged(source: BufferedReader, file: Path, sha256: str) -> Iterator[bytes]:
    """The chunks of ``source``, from its start; raises at the end, and so undoes the write, when it has changed."""
    digest = hashlib.sha256()
    try:
        source.seek(0)
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            yield chunk
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", next_step="check the disk it lies on") from error
    if digest.hexdigest() != sha256:
        raise InputError(
            f"{file} changed while it was being kept as an artifact",
            next_step="let the step end only when everything it started has ended",
        )
