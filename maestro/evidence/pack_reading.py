"""Reads an evidence pack from anywhere: nothing is written, only what a pack has is taken, within limits."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

from maestro.errors import InputError
from maestro.evidence import pack_layout as layout

_NAME = re.compile(
    r"(README\.md|index\.json|(?:keys|statements|reports|audit)/[A-Za-z0-9][A-Za-z0-9._-]{0,200})\Z", re.ASCII
)
_MAGIC = b"\x28\xb5\x2f\xfd"


def read_pack(path: Path, *, most_bytes: int = layout.MOST_BYTES) -> dict[str, bytes]:
    """Name -> content of every file.

    Args:
        most_bytes: of all files together, decompressed.

    Raises:
        InputError: it is no pack: no zstd, no tar; a link, a device, a path outside, a file twice, too much.
    """
    import zstandard

    try:
        with path.open("rb") as raw:
            if raw.read(4) != _MAGIC:
                raise _refused(path, "it is not compressed with zstd")
            raw.seek(0)
            # A window of more than 128 MiB is never needed, and would be allocated at once.
            reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(raw)
            with tarfile.open(fileobj=reader, mode="r|") as tar:
                return _files(path, tar, most_bytes)
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError, OverflowError) as error:
        raise _refused(path, f"it cannot be read: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", next_step="name a pack") from error


def _files(path: Path, tar: tarfile.TarFile, most_bytes: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = most_bytes
    for entry in tar:
        if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.sparse is not None:
            raise _refused(path, f"'{entry.name[:80]}' is no regular file")
        if not _NAME.match(entry.name):
            raise _refused(path, f"it holds '{entry.name[:80]}', which no pack has")
        if entry.name in files or len(files) >= layout.MOST_FILES:
            raise _refused(path, f"it holds '{entry.name}' twice, or more than {layout.MOST_FILES:,} files")
        left -= entry.size
        if left < 0 or (entry.name == layout.INDEX and entry.size > layout.MOST_INDEX_BYTES):
            raise _refused(path, f"it is too large: '{entry.name}' has {entry.size:,} bytes")
        stream = tar.extractfile(entry)
        files[entry.name] = b"" if stream is None else stream.read()
        if len(files[entry.name]) != entry.size:
            raise _refused(path, f"'{entry.name}' ends too early")
    return files


def sha256(data: bytes) -> str:
    """``sha256:<hex>`` of ``data``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _refused(path: Path, why: str) -> InputError:
    return InputError(
        f"'{path.name}' is refused as an evidence pack: {why}",
        next_step="ask for the pack again: maestro evidence export REVISION",
    )
