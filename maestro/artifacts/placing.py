"""How an artifact gets back into a workspace: whole, verified, with its execute bit, or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.artifacts.artifact import Artifact
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.artifacts.store import ArtifactStore

_IN_MEMORY = 8 * 1024 * 1024


def fetch(store: ArtifactStore, artifact: Artifact, destination: Path) -> bool:
    """Put the artifact's file at ``destination``; see :meth:`ArtifactStore.fetch`."""
    try:
        if _holds(destination, artifact):
            return False
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = destination.parent / f".maestro-{os.urandom(8).hex()}.partial"
        # 0o777 less the umask, as a compiler or cp would give it.
        descriptor = os.open(
            temporary,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
            0o777 if artifact.executable else 0o666,
        )
        try:
            with os.fdopen(descriptor, "wb") as target:
                if artifact.size <= _IN_MEMORY:
                    target.write(store.get_bytes(artifact.sha256))
                else:
                    for chunk in store.read_chunks(artifact.sha256):
                        target.write(chunk)
            temporary.replace(destination)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"artifact '{artifact.name}' cannot be written to {destination}: {error.strerror}",
            next_step="make room for a file there, or name another place",
        ) from error
    return True


def _holds(destination: Path, artifact: Artifact) -> bool:
    try:
        status = destination.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != artifact.size:
        return False
    try:
        with destination.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != artifact.sha256:
                return False
    except PermissionError:
        # Unreadable is not the same: it is replaced.
        return False
    executable = bool(status.st_mode & stat.S_IXUSR)
    if executable != artifact.executable:
        readers = (status.st_mode & 0o444) >> 2
        mode = status.st_mode | readers if artifact.executable else status.st_mode & ~0o111
        destination.chmod(stat.S_IMODE(mode))
    return True
