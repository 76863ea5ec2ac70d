"""Reads an evidence pack from anywhere: nothing is written, only what a pack has is taken, within limits."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro.errors import InputError
from maestro.evidence import pack_layout as layout

_NAME = re.compile(
    r"(README\.md|index\.json|(?:keys|statements|reports|audit)/[A-Za-z0-9][A-Za-z0-9._-]{0,200})\Z", re.ASCII
)
_MAGIC = b"\x28\xb5\x2f\xfd"
_CHUNK = 1024 * 1024


class _NotARegularFileError(Exception):
    """The archive holds something that no pack has."""


class _Plain(tarfile.TarInfo):
    """Refuses an entry by its first block, before a header of any length is read because of it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Plain:
        entry = super().frombuf(buf, encoding, errors)
        if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.size < 0:
            raise _NotARegularFileError(entry.name)
        return entry


@dataclass(frozen=True, slots=True)
class PackFiles:
    """What is in a pack.

    Args:
        digests: name -> ``sha256:<hex>`` of every file.
        contents: name -> bytes of those that were kept.
    """

    digests: Mapping[str, str]
    contents: Mapping[str, bytes]


def read_pack(path: Path, *, most_bytes: int = layout.MOST_BYTES, most_kept: int = layout.MOST_KEPT_BYTES) -> PackFiles:
    """The files of a pack. Reports, of any size, are only hashed.

    Args:
        most_bytes: of all files together, decompressed.
        most_kept: of all files but reports.

    Raises:
        InputError: it is no pack: no zstd, no tar; a link, a device, a path outside, a file twice, too much.
    """
    return _read(path, most_bytes, most_kept, lambda name: not name.startswith(f"{layout.REPORTS}/"))


def read_whole_pack(path: Path) -> dict[str, bytes]:
    """Name -> content of every file, reports too; for packs that fit into memory. Raises as :func:`read_pack`."""
    return dict(_read(path, layout.MOST_BYTES, layout.MOST_KEPT_BYTES, lambda _name: True).contents)


def _read(path: Path, most_bytes: int, most_kept: int, keep: Callable[[str], bool]) -> PackFiles:
    import zstandard

    try:
        with path.open("rb") as raw:
            if raw.read(4) != _MAGIC:
                raise _refused(path, "it is not compressed with zstd")
            raw.seek(0)
            # A window of more than 128 MiB is never needed, and would be allocated at once.
            reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(raw)
            with tarfile.open(fileobj=reader, mode="r|", tarinfo=_Plain) as tar:
                return _files(path, tar, most_bytes, most_kept, keep)
    except _NotARegularFileError as error:
        raise _refused(path, f"'{str(error)[:80]}' is no regular file") from None
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError, OverflowError) as error:
        raise _refused(path, f"it cannot be read: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", next_step="name a pack") from error


def _files(path: Path, tar: tarfile.TarFile, most_bytes: int, most_kept: int, keep: Callable[[str], bool]) -> PackFiles:
    digests: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    left, room = most_bytes, most_kept
    for entry in tar:
        if not _NAME.match(entry.name):
            raise _refused(path, f"it holds '{entry.name[:80]}', which no pack has")
        if entry.name in digests or len(digests) >= layout.MOST_FILES:
            raise _refused(path, f"it holds '{entry.name}' twice, or more than {layout.MOST_FILES:,} files")
        kept = keep(entry.name)
        left -= entry.size
        room -= entry.size if kept else 0
        if left < 0 or room < 0 or (entry.name == layout.INDEX and entry.size > layout.MOST_INDEX_BYTES):
            raise _refused(path, f"it is too large: '{entry.name}' has {entry.size:,} bytes")
        digest, data = _one(path, tar, entry, kept)
        digests[entry.name] = f"sha256:{digest}"
        if kept:
            contents[entry.name] = data
    return PackFiles(digests, contents)


def _one(path: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo, kept: bool) -> tuple[str, bytes]:
    stream: Any = tar.extractfile(entry)
    hashed, parts, read = hashlib.sha256(), [], 0
    while chunk := stream.read(_CHUNK):
        hashed.update(chunk)
        read += len(chunk)
        if kept:
            parts.append(chunk)
    if read != entry.size:
        raise _refused(path, f"'{entry.name}' ends too early")
    return hashed.hexdigest(), b"".join(parts)


def _refused(path: Path, why: str) -> InputError:
    return InputError(
        f"'{path.name}' is refused as an evidence pack: {why}",
        next_step="ask for the pack again: maestro evidence export REVISION",
    )
