"""Writes an image layout to a registry: blobs, then manifests by digest, then tags."""

from __future__ import annotations

from collections.abc import Iterable

from maestro.oci.layout import Layout
from maestro.oci.manifest import INDEXES, MANIFESTS
from maestro.oci.reference import Reference
from maestro.oci.registry import Registry


def push_layout(registry: Registry, repository: str, layout: Layout, tags: Iterable[str] = ()) -> Reference:
    """Push the image of ``layout``; tags are moved last, so that a tag never names half an image.

    Returns:
        The image by its digest, read back from the registry.

    Raises:
        LayoutError: the layout is damaged.
        RegistryError: the registry did not keep it.
    """
    root = layout.root
    for one in {blob.digest: blob for blob in layout.walk(root)}.values():
        if one.media_type in INDEXES | MANIFESTS:
            registry.put_manifest(repository, one.digest, layout.blob(one).read_bytes(), one.media_type)
        else:
            registry.put_blob(repository, layout.blob(one))
    kept = registry.manifest(repository, root.digest)
    for tag in tags:
        registry.put_manifest(repository, tag, kept.data, kept.descriptor.media_type)
    return Reference(registry.name, repository, digest=kept.descriptor.digest)
