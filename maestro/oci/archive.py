"""An image layout as a tar archive: the same bytes for the same image, and nothing taken out that is not a layout's."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from pathlib import Path
from typing import IO

from maestro.oci.errors import LayoutError
from maestro.oci.layout import BLOBS, INDEX_FILE, MARK, Layout
from maestro.oci.manifest import MANIFEST_LIMIT

SIZE_LIMIT = 64 * 1024**3
"""Bytes of all blobs of one archive."""
ENTRY_LIMIT = 20_000

_FOLDERS = frozenset({"blobs", BLOBS})
_BLOB = re.compile(rf"{BLOBS}/([0-9a-f]{{64}})\Z")
_CHUNK = 1024 * 1024


def pack_layout(layout: Layout, archive: Path) -> None:
    """Write ``layout`` to ``archive``: sorted, without times, users and compression (pax, for large files)."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in (*sorted(_FOLDERS), *sorted(_files(layout))):
            source = layout.folder / name
            entry = tarfile.TarInfo(name)
            if source.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
                continue
            entry.mode, entry.size = 0o644, source.stat().st_size
            with source.open("rb") as stream:
                tar.addfile(entry, stream)


def unpack_layout(archive: Path, folder: Path, *, limit: int = SIZE_LIMIT) -> Layout:
    """Write the layout in ``archive`` to ``folder``, which must not exist, and check every blob it names.

    Args:
        limit: bytes of all entries together.

    Raises:
        LayoutError: the archive is damaged, is too large, or holds anything but a layout's regular files: a path
            outside, a link, a device, a blob whose name is not its digest. ``folder`` then does not exist.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        (partial / BLOBS).mkdir(parents=True)
        _unpack(archive, partial, limit)
        layout = Layout.open(partial)
        for root in layout.roots:
            for one in layout.walk(root):
                layout.blob(one)
        partial.rename(folder)
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise _refused(archive, f"it is no tar archive that can be read: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Layout(folder, layout.roots)


def _unpack(archive: Path, folder: Path, limit: int) -> None:
    left, seen = limit, set[str]()
    # Not compressed, so that what it holds is never larger than it is.
    with tarfile.open(archive, "r:") as tar:
        for entry in tar:
            name = entry.name.removeprefix("./")
            if entry.isdir() and name in {*_FOLDERS, ".", ""}:
                continue
            blob = _BLOB.match(name)
            if blob is None and name not in (MARK, INDEX_FILE):
                raise _refused(archive, f"it holds '{entry.name[:80]}', which no layout has")
            if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.sparse is not None:
                raise _refused(archive, f"'{name}' is no regular file")
            if name in seen or len(seen) >= ENTRY_LIMIT:
                raise _refused(archive, f"it holds '{name}' twice, or more than {ENTRY_LIMIT:,} files")
            seen.add(name)
            left -= entry.size
            if left < 0 or (blob is None and entry.size > MANIFEST_LIMIT):
                raise _refused(archive, f"it is too large: '{name}' has {entry.size:,} bytes")
            stream = tar.extractfile(entry)
            if stream is None or not _written(stream, folder / name, blob[1] if blob else None):
                raise _refused(archive, f"the bytes of '{name}' have another digest")


def _written(stream: IO[bytes], place: Path, digest: str | None) -> bool:
    found = hashlib.sha256()
    with place.open("xb") as file:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
            file.write(chunk)
    return digest is None or found.hexdigest() == digest


def _files(layout: Layout) -> set[str]:
    blobs = {f"{BLOBS}/{one.hex}" for root in layout.roots for one in layout.walk(root)}
    return {MARK, INDEX_FILE, *blobs}


def _refused(archive: Path, why: str) -> LayoutError:
    return LayoutError(
        f"'{archive.name}' is refused as an archive of an image layout: {why}",
        next_step="make it again: skopeo copy docker://IMAGE oci-archive:FILE",
    )
