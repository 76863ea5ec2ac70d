"""Reads what is attached to an image: bundles among its referrers, DSSE envelopes under cosign's ``.att`` tag."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.errors import InputError
from maestro.oci.errors import OciError
from maestro.oci.manifest import Descriptor, entries, parse_manifest
from maestro.oci.reference import Reference
from maestro.oci.registry import Registry

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
LARGEST_BUNDLE = 96 * 1024 * 1024
"""Bytes; a statement of 64 MiB, the largest that is signed, in base64."""

CONTENT = "dev.sigstore.bundle.content"
PREDICATE = "dev.sigstore.bundle.predicateType"
COSIGN_PREDICATE = "predicateType"
COSIGN_SIGNATURE = "dev.cosignproject.cosign/signature"


@dataclass(frozen=True, slots=True)
class AttachedBundle:
    """Something signed that a registry has about an image. Nothing of it is verified yet.

    Args:
        via: ``referrer`` (a Sigstore bundle) or ``cosign`` (a DSSE envelope alone).
        predicate_type: as the registry states it.
        data: the bytes; their digest was checked.
    """

    via: str
    predicate_type: str
    data: bytes


def bundles_of(registry: Registry, image: Reference) -> tuple[AttachedBundle, ...]:
    """Every bundle and every cosign envelope attached to ``image``, those of the referrers first.

    Raises:
        InputError: ``image`` has no digest.
        RegistryError, OciError: the registry does not answer, or sends something else.
    """
    if image.digest is None:
        raise InputError(
            f"'{image}' is no fixed image, so nothing is known to be attached to it",
            next_step="name the image by its digest: repository@sha256:…",
        )
    found = [_bundle(registry, image, one) for one in _referrers(registry, image.repository, image.digest)]
    return (*(one for one in found if one is not None), *_cosign_envelopes(registry, image.repository, image.digest))


def _referrers(registry: Registry, repository: str, digest: str) -> tuple[Descriptor, ...]:
    """From both lists: a registry that was renewed may have an old tag and a new API."""
    listed = registry.referrers(repository, digest) or ()
    fallback = registry.find_manifest(repository, referrers_tag(digest))
    if fallback is not None and fallback.descriptor.is_index:
        what = f"the list of referrers {referrers_tag(digest)}"
        listed = (*listed, *entries(parse_manifest(fallback.data, what), "manifests", what))
    return tuple({one.digest: one for one in listed}.values())


def _bundle(registry: Registry, image: Reference, referrer: Descriptor) -> AttachedBundle | None:
    if referrer.artifact_type not in (None, BUNDLE):
        return None
    manifest = registry.manifest(image.repository, referrer.digest)
    what = f"the referrer {referrer.digest}"
    document = parse_manifest(manifest.data, what)
    subject = document.get("subject")
    if document.get("artifactType") != BUNDLE or not subject or Descriptor.from_json(subject).digest != image.digest:
        return None
    layers = entries(document, "layers", what)
    if len(layers) != 1 or layers[0].media_type != BUNDLE:
        raise OciError(f"{what} of {image} does not hold exactly one bundle")
    annotations = document.get("annotations")
    stated = annotations.get(PREDICATE, "") if isinstance(annotations, dict) else ""
    return AttachedBundle("referrer", str(stated), registry.blob(image.repository, layers[0].digest, LARGEST_BUNDLE))


def _cosign_envelopes(registry: Registry, repository: str, digest: str) -> tuple[AttachedBundle, ...]:
    manifest = registry.find_manifest(repository, f"{referrers_tag(digest)}.att")
    if manifest is None:
        return ()
    what = f"cosign's attestations {referrers_tag(digest)}.att"
    layers = entries(parse_manifest(manifest.data, what), "layers", what)
    return tuple(
        AttachedBundle(
            "cosign",
            one.annotations.get(COSIGN_PREDICATE, ""),
            registry.blob(repository, one.digest, LARGEST_BUNDLE),
        )
        for one in layers
        if one.media_type == ENVELOPE
    )


def referrers_tag(digest: str) -> str:
    """The tag that lists the referrers where there is no referrers API; cosign's ends with ``.att`` besides."""
    return digest.replace(":", "-", 1)
