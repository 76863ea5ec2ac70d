"""Descriptors and manifests (OCI image specification 1.1), narrow enough to be safe, and one way to write JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maestro.oci.errors import OciError
from maestro.oci.reference import is_digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
LAYOUT_ARCHIVE = "application/vnd.oci.image.layout.v1+tar"
"""Media type of a tar archive of an image layout."""

INDEXES = frozenset({INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes; the distribution specification asks no registry to keep a larger manifest."""
ENTRIES_LIMIT = 10_000
"""Manifests of one index, or layers of one manifest."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says about a blob.

    Args:
        media_type: RFC 6838.
        digest: ``sha256:…``.
        size: bytes.
        platform: ``linux/amd64`` or ``linux/arm/v7``; None when not said.
        artifact_type: media type of what a manifest that is no image holds.
        annotations: names -> texts.
    """

    media_type: str
    digest: str
    size: int
    platform: str | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def hex(self) -> str:
        """The digest without its algorithm."""
        return self.digest.partition(":")[2]

    @property
    def is_index(self) -> bool:
        """It names an index, that is, an image for several platforms."""
        return self.media_type in INDEXES

    @classmethod
    def of(cls, data: bytes, media_type: str, **others: Any) -> Descriptor:
        """The descriptor of ``data``."""
        return cls(media_type, digest_of(data), len(data), **others)

    @classmethod
    def from_json(cls, document: object) -> Descriptor:
        """The descriptor ``document`` holds.

        Raises:
            OciError: it holds none.
        """
        if not isinstance(document, dict):
            raise OciError(f"a descriptor is {type(document).__name__} instead of an object")
        media_type, digest, size = document.get("mediaType"), document.get("digest"), document.get("size")
        if not isinstance(media_type, str) or not is_digest(digest):
            raise OciError(f"a descriptor has no media type, or no SHA-256 digest: {str(digest)[:80]!r}")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise OciError(f"the descriptor of {digest} has no size")
        artifact_type, annotations = document.get("artifactType"), document.get("annotations") or {}
        return cls(
            media_type,
            str(digest),
            size,
            _platform(document.get("platform")),
            artifact_type if isinstance(artifact_type, str) else None,
            {str(name): str(text) for name, text in annotations.items()} if isinstance(annotations, dict) else {},
        )

    def to_json(self) -> dict[str, Any]:
        """As manifests hold it."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            document["platform"] = platform_object(self.platform)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document


def digest_of(data: bytes) -> str:
    """``sha256:…`` of ``data``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def canonical(document: Mapping[str, Any]) -> bytes:
    """``document`` as JSON, the same bytes for the same content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_manifest(data: bytes, what: str) -> dict[str, Any]:
    """The manifest or index in ``data``.

    Args:
        what: names it in errors.

    Raises:
        OciError: it is too large, or no JSON object.
    """
    if len(data) > MANIFEST_LIMIT:
        raise OciError(f"{what} is larger than {MANIFEST_LIMIT // 2**20} MiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OciError(f"{what} is no JSON") from error
    if not isinstance(document, dict):
        raise OciError(f"{what} is no JSON object")
    return document


def entries(document: Mapping[str, Any], name: str, what: str) -> tuple[Descriptor, ...]:
    """The descriptors in the list ``name`` of a manifest; empty when it has no such list.

    Raises:
        OciError: it is no list of descriptors, or too long.
    """
    found = document.get(name) or []
    if not isinstance(found, list) or len(found) > ENTRIES_LIMIT:
        raise OciError(f"'{name}' of {what} is no list of at most {ENTRIES_LIMIT:,} descriptors")
    return tuple(Descriptor.from_json(one) for one in found)


def platform_object(platform: str) -> dict[str, str]:
    """``linux/arm/v7`` as manifests hold it."""
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))


def _platform(document: object) -> str | None:
    if not isinstance(document, dict):
        return None
    parts = [document.get(name) for name in ("os", "architecture", "variant")]
    return "/".join(str(part) for part in parts if part) or None
