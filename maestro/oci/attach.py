"""Attaches signed bundles to an image, as OCI 1.1 referrers and under cosign's ``.att`` tag.

A registry that keeps referrers itself lists them; for others the tag ``sha256-<hex>`` holds the list (distribution
specification 1.1, "Referrers Tag Schema"). ``sha256-<hex>.att`` is where cosign 2 looks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from maestro.errors import InputError
from maestro.oci.attached import (
    BUNDLE,
    CONTENT,
    COSIGN_PREDICATE,
    COSIGN_SIGNATURE,
    ENVELOPE,
    LARGEST_BUNDLE,
    PREDICATE,
    referrers_tag,
)
from maestro.oci.errors import RegistryError
from maestro.oci.manifest import CONFIG, EMPTY, INDEX, MANIFEST, Descriptor, canonical, entries, parse_manifest
from maestro.oci.reference import Reference
from maestro.oci.registry import Registry

_NO_TIME = "0001-01-01T00:00:00Z"
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Attachment:
    """What attaching did.

    Args:
        referrer: digest of the manifest that refers to the image.
        listed_by: ``api`` when the registry lists referrers itself, else ``tag``.
        new: False when the image had this bundle already.
    """

    referrer: str
    listed_by: str
    new: bool


def attach_bundle(
    registry: Registry, image: Reference, bundle: bytes, predicate_type: str, *, cosign: bool = True
) -> Attachment:
    """Attach a Sigstore bundle (v0.3, with a DSSE envelope) to ``image``; doing it again changes nothing.

    Args:
        registry: where the image is.
        image: by digest.
        predicate_type: URI of the statement's predicate.
        cosign: writes cosign's ``.att`` tag as well.

    Raises:
        InputError: ``image`` has no digest, or ``bundle`` is none.
        RegistryError: the image is not there, or the registry keeps nothing.
    """
    if image.digest is None:
        raise InputError(
            f"evidence cannot be attached to '{image}', which is no fixed image",
            next_step="name the image by its digest: repository@sha256:…",
        )
    envelope = _envelope(bundle)
    subject = registry.manifest(image.repository, image.digest).descriptor
    data, annotations = _referrer(registry, image.repository, subject, bundle, predicate_type)
    own = Descriptor.of(data, MANIFEST, artifact_type=BUNDLE, annotations=annotations)
    new = registry.find_manifest(image.repository, own.digest) is None
    api = registry.put_manifest(image.repository, own.digest, data, MANIFEST)
    if not api:
        new = (
            _update(registry, image.repository, referrers_tag(image.digest), INDEX, lambda old: _listed(old, own))
            or new
        )
    if cosign:
        layer = Descriptor.of(envelope, ENVELOPE, annotations={COSIGN_SIGNATURE: "", COSIGN_PREDICATE: predicate_type})
        registry.put_blob(image.repository, envelope)
        _update(
            registry,
            image.repository,
            f"{referrers_tag(image.digest)}.att",
            MANIFEST,
            lambda old: _with_layer(registry, image.repository, old, layer),
        )
    return Attachment(own.digest, "api" if api else "tag", new)


def _envelope(bundle: bytes) -> bytes:
    """The DSSE envelope in ``bundle``, as bytes of its own."""
    try:
        document = json.loads(bundle) if len(bundle) <= LARGEST_BUNDLE else {}
        envelope = document["dsseEnvelope"]
        if not envelope["payload"] or not envelope["signatures"]:
            raise ValueError
        return canonical(envelope)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            "what was to be attached is no Sigstore bundle with a DSSE envelope",
            next_step="attach what `maestro evidence` signed",
        ) from None


def _referrer(
    registry: Registry, repository: str, subject: Descriptor, bundle: bytes, predicate_type: str
) -> tuple[bytes, dict[str, str]]:
    registry.put_blob(repository, b"{}")
    registry.put_blob(repository, bundle)
    annotations = {CONTENT: "dsse-envelope", PREDICATE: predicate_type}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": Descriptor.of(b"{}", EMPTY).to_json(),
        "layers": [Descriptor.of(bundle, BUNDLE).to_json()],
        "subject": subject.to_json(),
        "annotations": annotations,
    }
    return canonical(manifest), annotations


def _listed(old: dict[str, Any] | None, referrer: Descriptor) -> dict[str, Any] | None:
    document = old or {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    if any(one.digest == referrer.digest for one in entries(document, "manifests", "the list of referrers")):
        return None
    return {**document, "manifests": [*document.get("manifests", ()), referrer.to_json()]}


def _with_layer(
    registry: Registry, repository: str, old: dict[str, Any] | None, layer: Descriptor
) -> dict[str, Any] | None:
    layers = entries(old or {}, "layers", "cosign's attestations")
    if any(one.digest == layer.digest for one in layers):
        return None
    layers = (*layers, layer)
    config = canonical(
        {
            "architecture": "",
            "os": "",
            "created": _NO_TIME,
            "config": {},
            "history": [{"created": _NO_TIME} for _ in layers],
            "rootfs": {"type": "layers", "diff_ids": [one.digest for one in layers]},
        }
    )
    registry.put_blob(repository, config)
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor.of(config, CONFIG).to_json(),
        "layers": [one.to_json() for one in layers],
    }


def _update(
    registry: Registry,
    repository: str,
    tag: str,
    media_type: str,
    change: Callable[[dict[str, Any] | None], dict[str, Any] | None],
) -> bool:
    """Change what ``tag`` holds, and look whether it stayed: two writers at once would lose one's change.

    Returns:
        False when there was nothing to change.
    """
    wrote = False
    for _round in range(_ROUNDS):
        old = registry.find_manifest(repository, tag)
        if old is not None and old.descriptor.media_type != media_type:
            raise RegistryError(
                f"the tag {tag} of {registry.name}/{repository} holds {old.descriptor.media_type}, not what it is for",
                next_step=f"remove the tag: skopeo delete docker://{registry.name}/{repository}:{tag}",
            )
        changed = change(parse_manifest(old.data, f"the tag {tag}") if old else None)
        if changed is None:
            return wrote
        registry.put_manifest(repository, tag, canonical(changed), media_type)
        wrote = True
    raise RegistryError(
        f"the tag {tag} of {registry.name}/{repository} is changed by others all the time",
        next_step="attach again when nobody else does",
    )
