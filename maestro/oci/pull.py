"""Brings an image of a registry into a layout, its manifests and blobs as they are, whatever their media types."""

from __future__ import annotations

from pathlib import Path

from maestro.oci.errors import LayoutError
from maestro.oci.layout import BLOBS, Layout
from maestro.oci.manifest import INDEXES, MANIFESTS, Descriptor
from maestro.oci.registry import Registry

_MOST_BLOBS = 10_000


def pull_layout(registry: Registry, repository: str, version: str, folder: Path) -> Layout:
    """The image a tag or digest names, with all its platforms, in ``folder``, which must not exist.

    Raises:
        RegistryError: something is missing or not what its digest says.
        LayoutError: it is no image, or names more than 10,000 blobs.
    """
    layout = Layout.create(folder)
    root = registry.manifest(repository, version).descriptor
    wanted, seen = [root], set[str]()
    while wanted:
        one = wanted.pop()
        if one.digest in seen:
            continue
        seen.add(one.digest)
        if len(seen) > _MOST_BLOBS:
            raise LayoutError(f"{registry.name}/{repository} names more than {_MOST_BLOBS:,} blobs")
        wanted += _fetch(registry, repository, one, layout)
    return layout.finish(root)


def _fetch(registry: Registry, repository: str, one: Descriptor, layout: Layout) -> tuple[Descriptor, ...]:
    """Fetch one; gives what it names itself."""
    place = layout.folder / BLOBS / one.hex
    if one.media_type in INDEXES | MANIFESTS:
        place.write_bytes(registry.manifest(repository, one.digest).data)
        return layout.children(one)
    registry.fetch_blob(repository, one, place)
    return ()
