"""Takes from a built image what the builder's own storage put into it, so that equal inputs give an equal digest.

Buildah notes by which name its storage knew the base image, in the history and in annotations. That name depends on
what else was built or pulled there. Layers are not touched.
"""

from __future__ import annotations

from dataclasses import dataclass

from maestro.oci.layout import Layout
from maestro.oci.manifest import CONFIG, MANIFEST, Descriptor, canonical

_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What the last stage of an image was built from.

    Args:
        name: as an image reference; None when it came from a folder.
        digest: ``sha256:…`` of its manifest or index.
    """

    name: str | None
    digest: str


def adopt(built: Layout, into: Layout, base: BaseImage | None, platform: str) -> Descriptor:
    """Move the image of ``built`` into the layout ``into``, normalised; gives its new manifest's descriptor.

    Args:
        base: None for an image from scratch.
        platform: stated in the descriptor.

    Raises:
        LayoutError: ``built`` is damaged.
    """
    manifest = built.document(built.root)
    config, *layers = built.children(built.root)
    about = built.document(config)
    for entry in about.get("history", ()):
        if str(entry.get("comment", "")).startswith("FROM "):
            del entry["comment"]
    annotations = {
        name: text
        for name, text in (manifest.get("annotations") or {}).items()
        if name not in (_BASE_NAME, _BASE_DIGEST)
    }
    if base is not None:
        annotations |= {_BASE_DIGEST: base.digest, **({_BASE_NAME: base.name} if base.name else {})}
    for layer in layers:
        built.blob(layer).replace(into.folder / "blobs/sha256" / layer.hex)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": into.add(canonical(about), CONFIG).to_json(),
        "layers": [layer.to_json() for layer in layers],
        **({"annotations": annotations} if annotations else {}),
    }
    return into.add(canonical(document), MANIFEST, platform=platform)
