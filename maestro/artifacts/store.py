"""The artifact store: bytes under their own digest, written once, verified on every read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.artifacts import intake, keys, media_types, placing
from maestro.artifacts.artifact import Artifact, StoredObject
from maestro.artifacts.errors import ArtifactMissingError, CorruptArtifactError

if TYPE_CHECKING:
    from maestro.artifacts.objects import ObjectInfo, Objects

SAFETY_WINDOW = timedelta(hours=1)
"""An object written less long ago than this is never collected: a running step may be about to name it."""

_CAS_KEY = re.compile(rf"{re.escape(keys.CAS)}/([0-9a-f]{{2}})/([0-9a-f]{{62}})\Z")


class ArtifactStore:
    """Bytes under their own digest. Safe to use from many threads, processes and machines at once.

    Args:
        objects: where the bytes lie; see :meth:`open`.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any] | None = None) -> ArtifactStore:
        """The store at an absolute folder or a file://, s3://, gs:// or az:// URL.

        ``options`` are obstore's for that kind of store (``endpoint``, ``region``); what they leave out comes from
        the environment, as with every S3 client.

        Raises:
            InputError: the address cannot be used.
            ArtifactStoreError: the folder cannot be made.
        """
        from maestro.artifacts.objects import Objects

        return cls(Objects.open(url, dict(options or {})))

    @property
    def url(self) -> str:
        """Where the store is, without credentials."""
        return self.objects.url

    def put_bytes(self, data: bytes, *, name: str, media_type: str | None = None, path: str | None = None) -> Artifact:
        """Keep ``data``; the media type is guessed from the name when not given."""
        artifact = Artifact(
            name, hashlib.sha256(data).hexdigest(), len(data), media_type or media_types.guess(path or name), path
        )
        self.keep(artifact, data)
        return artifact

    def put_file(
        self,
        file: Path,
        *,
        name: str | None = None,
        media_type: str | None = None,
        path: str | None = None,
    ) -> Artifact:
        """Keep a regular file; memory used is bounded whatever its size.

        Raises:
            InputError: there is no such file, it is a symbolic link or no regular file, or it changed meanwhile.
        """
        return intake.put_file(self, file, name=name or file.name, media_type=media_type, path=path)

    def get_bytes(self, sha256: str) -> bytes:
        """The bytes with this digest, verified.

        Raises:
            ArtifactMissingError: nothing is stored under it.
            CorruptArtifactError: other bytes were; they are in quarantine now.
        """
        found = self.objects.read(keys.cas(sha256))
        if found is None:
            raise ArtifactMissingError(sha256, self.url)
        data, info = found
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self.quarantine(sha256, info)
        return data

    def read_chunks(self, sha256: str) -> Iterator[bytes]:
        """The bytes with this digest, a few megabytes at a time; raises only *after* the last chunk when corrupt.

        Raises:
            ArtifactMissingError, CorruptArtifactError: as :meth:`get_bytes`.
        """
        found = self.objects.stream(keys.cas(sha256))
        if found is None:
            raise ArtifactMissingError(sha256, self.url)
        chunks, info = found
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != sha256:
            raise self.quarantine(sha256, info)

    def fetch(self, artifact: Artifact, destination: Path) -> bool:
        """Put the artifact's file at ``destination``: whole, verified, with its execute bit, or not at all.

        Folders on the way are made. What lay there is replaced, a symbolic link itself and not what it points to.

        Returns:
            False when the same bytes already lay there (only a wrong execute bit is then put right).

        Raises:
            ArtifactMissingError, CorruptArtifactError: as :meth:`get_bytes`; ``destination`` is as it was.
            InputError: ``destination`` is a folder or cannot be written.
        """
        return placing.fetch(self, artifact, destination)

    def exists(self, sha256: str) -> bool:
        """Whether something is stored under this digest; it is not read."""
        return self.objects.info(keys.cas(sha256)) is not None

    def absent(self, artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
        """Those of ``artifacts`` whose bytes are not there; one of the wrong length is quarantined and absent."""
        wanted = list(artifacts)
        found = self.objects.each(self._has, wanted)
        return tuple(artifact for artifact, there in zip(wanted, found, strict=True) if not there)

    def verify(self, sha256: str) -> bool:
        """Read the bytes and compare their digest; when they are corrupt, False, and they are quarantined.

        Raises:
            ArtifactMissingError: nothing is stored under this digest.
        """
        try:
            for _chunk in self.read_chunks(sha256):
                pass
        except CorruptArtifactError:
            return False
        return True

    def list(self) -> Iterator[StoredObject]:
        """Every stored object, in no order. Files that a crash left half-written are not among them."""
        for info in self.objects.under(keys.CAS):
            if match := _CAS_KEY.match(info.key):
                yield StoredObject(match[1] + match[2], info.size, info.last_modified)

    def delete(self, sha256: str) -> None:
        """Delete the object, if it is there."""
        self.objects.delete(keys.cas(sha256))

    def quarantine(self, sha256: str, seen: ObjectInfo) -> CorruptArtifactError:
        """Move the corrupt object ``seen`` out of the way, so that it can be rebuilt; gives the error to raise."""
        self.objects.set_aside(seen)
        return CorruptArtifactError(sha256, self.url)

    def settled(self, sha256: str, size: int) -> bool:
        """Whether bytes that are about to be written are there already and will stay for the safety window.

        An old object is reported as not settled, so that writing it again makes it young: nothing may name it yet.
        """
        info = self.objects.info(keys.cas(sha256))
        if info is None:
            return False
        if info.size != size:
            self.quarantine(sha256, info)
            return False
        return datetime.now(UTC) - info.last_modified < SAFETY_WINDOW / 2

    def keep(self, artifact: Artifact, data: bytes) -> None:
        """Write ``data``, which is what ``artifact`` describes, unless it is there already."""
        key = keys.cas(artifact.sha256)
        if not self.objects.create(key, data) and not self.settled(artifact.sha256, artifact.size):
            self.objects.replace(key, data)

    def _has(self, artifact: Artifact) -> bool:
        info = self.objects.info(keys.cas(artifact.sha256))
        if info is not None and info.size != artifact.size:
            self.quarantine(artifact.sha256, info)
            return False
        return info is not None
