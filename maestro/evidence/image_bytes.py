"""Whether an archive is of the image it is said to be: everything in it hangs on the digest of the manifest."""

from __future__ import annotations

import tempfile
from pathlib import Path

from maestro.artifacts import Artifact, ArtifactStore
from maestro.oci.archive import unpack_layout
from maestro.oci.errors import OciError


def archived_image(store: ArtifactStore, archive: Artifact, scratch: Path) -> str:
    """``sha256:<hex>`` of the image in ``archive``, every blob of it verified; else what is wrong with it.

    Args:
        scratch: folder for as many bytes as the archive has, twice, while this runs.

    Raises:
        MaestroError: the store does not answer, or does not have it.
    """
    with tempfile.TemporaryDirectory(prefix="image-", dir=scratch) as folder:
        file = Path(folder, "image.tar")
        store.fetch(archive, file)
        try:
            return unpack_layout(file, Path(folder, "layout")).root.digest
        except OciError as error:
            return error.what
