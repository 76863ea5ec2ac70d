"""A registry (OCI distribution specification 1.1): manifests, blobs, tags, referrers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import urljoin

from maestro.oci.auth import AuthFile
from maestro.oci.errors import NotInRegistryError, RegistryError
from maestro.oci.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEX,
    MANIFEST,
    MANIFEST_LIMIT,
    Descriptor,
    digest_of,
    entries,
    parse_manifest,
)
from maestro.oci.reference import is_digest

_ACCEPT = ", ".join((INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_CHUNK = 1024 * 1024
BLOB_LIMIT = 64 * 1024 * 1024
"""Bytes of a blob that is read into memory."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index as a registry has it.

    Args:
        descriptor: its media type, digest and size.
        data: its bytes; their digest is the descriptor's.
    """

    descriptor: Descriptor
    data: bytes


class Registry:
    """A client of one registry. Use it in a ``with``, or close it.

    Args:
        registry: ``host`` or ``host:port``; on the loopback interface TLS is not asked for.
        auth: credentials; None: anonymous.
        pauses: seconds before each further attempt when the registry does not answer or is busy.
    """

    def __init__(
        self, registry: str, auth: AuthFile | None = None, *, pauses: tuple[float, ...] = (0.2, 1.0, 3.0)
    ) -> None:
        # Not at the top: what only names kinds and parameters shall not wait for an HTTP library.
        from maestro.oci.http import Connection

        self._http = Connection(registry, auth, pauses)
        self.name = registry

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def manifest(self, repository: str, version: str) -> Manifest:
        """The manifest a tag or digest names.

        Raises:
            NotInRegistryError: there is none.
            RegistryError: the registry does not answer, refuses, or sends something else.
        """
        answer = self._http.request(
            "GET", repository, f"manifests/{version}", headers={"Accept": _ACCEPT}, limit=MANIFEST_LIMIT
        )
        if answer.status != 200:
            raise self._http.failed(answer, f"reading {repository}:{version}".replace(":sha256", "@sha256"))
        data = answer.content
        digest = digest_of(data)
        stated = answer.headers.get("docker-content-digest", digest)
        if (is_digest(version) and digest != version) or (stated != digest and stated.startswith("sha256:")):
            raise self._http.malformed(f"sent a manifest of {repository} whose digest is {digest}, not the one named")
        document = parse_manifest(data, f"the manifest {version} of {self.name}/{repository}")
        media_type = document.get("mediaType") or answer.headers.get("content-type", "").partition(";")[0].strip()
        if not isinstance(media_type, str) or not media_type:
            raise self._http.malformed(f"sent a manifest of {repository} without a media type")
        return Manifest(Descriptor(media_type, digest, len(data)), data)

    def find_manifest(self, repository: str, version: str) -> Manifest | None:
        """As :meth:`manifest`; None when there is none."""
        try:
            return self.manifest(repository, version)
        except NotInRegistryError:
            return None

    def put_manifest(self, repository: str, version: str, data: bytes, media_type: str) -> bool:
        """Keep a manifest under a tag or its own digest.

        Returns:
            Whether the registry keeps the list of referrers itself (``OCI-Subject``, section "Pushing Manifests with
            Subject").

        Raises:
            RegistryError: it was not kept, or not as these bytes.
        """
        headers = {"Content-Type": media_type}
        answer = self._http.request("PUT", repository, f"manifests/{version}", headers=headers, content=data, push=True)
        if answer.status not in (200, 201, 202):
            raise self._http.failed(answer, f"writing {repository}:{version}".replace(":sha256", "@sha256"))
        kept = answer.headers.get("docker-content-digest", digest_of(data))
        if kept.startswith("sha256:") and kept != digest_of(data):
            raise self._http.malformed(f"kept another manifest in {repository} than was sent ({kept})")
        return "oci-subject" in answer.headers

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has this blob."""
        answer = self._http.request("HEAD", repository, f"blobs/{digest}", push=True)
        if answer.status not in (200, 404):
            raise self._http.failed(answer, f"asking for blob {digest} of {repository}")
        return answer.status == 200

    def blob(self, repository: str, digest: str, limit: int = BLOB_LIMIT) -> bytes:
        """The bytes of a blob, verified.

        Args:
            limit: bytes; a larger blob is refused.

        Raises:
            RegistryError: it is not there, is too large, or has another digest.
        """
        answer = self._http.request("GET", repository, f"blobs/{digest}", limit=limit)
        if answer.status != 200:
            raise self._http.failed(answer, f"reading blob {digest} of {repository}")
        if digest_of(answer.content) != digest:
            raise self._http.malformed(f"sent other bytes for blob {digest} of {repository}")
        return answer.content

    def fetch_blob(self, repository: str, blob: Descriptor, place: Path) -> None:
        """Write a blob of any size to ``place``, verified; what is there is replaced.

        Raises:
            RegistryError: it is not there, or has another size or digest; ``place`` then does not exist.
        """
        try:
            answer = self._http.request("GET", repository, f"blobs/{blob.digest}", limit=blob.size, sink=place)
            if answer.status != 200:
                raise self._http.failed(answer, f"reading blob {blob.digest} of {repository}")
            if _file_digest(place) != (blob.digest, blob.size):
                raise self._http.malformed(f"sent other bytes for blob {blob.digest} of {repository}")
        except BaseException:
            place.unlink(missing_ok=True)
            raise

    def put_blob(self, repository: str, data: bytes | Path) -> str:
        """Keep a blob, unless it is there; gives its digest. A file is read in pieces.

        Raises:
            RegistryError: it was not kept.
        """
        digest, size = (digest_of(data), len(data)) if isinstance(data, bytes) else _file_digest(data)
        if self.has_blob(repository, digest):
            return digest
        started = self._http.request("POST", repository, "blobs/uploads/", push=True, content=b"")
        where = started.headers.get("location")
        if started.status not in (201, 202) or not where:
            raise self._http.failed(started, f"uploading to {repository}")
        url = urljoin(started.url, where)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        content = data if isinstance(data, bytes) else lambda: _chunks(data)
        upload = f"{url}{'&' if '?' in url else '?'}digest={digest}"
        ended = self._http.request("PUT", repository, upload, headers=headers, content=content, push=True)
        if ended.status not in (200, 201, 202, 204):
            raise self._http.failed(ended, f"uploading to {repository}")
        return digest

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """What refers to a manifest, as the referrers API lists it; None when the registry has no such API."""
        found: list[Descriptor] = []
        path = f"referrers/{digest}"
        for _page in range(100):
            answer = self._http.request("GET", repository, path, headers={"Accept": INDEX}, limit=MANIFEST_LIMIT)
            # Some registries say 400 or 405 for what they do not know.
            if answer.status in (400, 404, 405):
                return None
            if answer.status != 200:
                raise self._http.failed(answer, f"listing the referrers of {repository}@{digest}")
            what = f"the list of referrers of {self.name}/{repository}"
            found += entries(parse_manifest(answer.content, what), "manifests", what)
            if answer.next_page is None:
                return tuple(found)
            path = urljoin(answer.url, answer.next_page)
        raise RegistryError(f"the list of referrers of {self.name}/{repository} has no end")


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _file_digest(file: Path) -> tuple[str, int]:
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256")
        return f"sha256:{found.hexdigest()}", stream.tell()
