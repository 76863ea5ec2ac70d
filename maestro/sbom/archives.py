"""Unpacks packages from outside: plain files and folders inside the target, within limits, or nothing.

``tarfile``'s own ``data`` filter lets links through and has no limits; here links, devices and names that leave the
folder refuse the whole archive, and what was written is removed again.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from maestro.errors import Location
from maestro.sbom.errors import SbomError

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Above any of these an archive is refused.

    Args:
        size: bytes of all files, unpacked.
        members: entries.
    """

    size: int = 32 * 1024**3
    members: int = 200_000


@dataclass(frozen=True, slots=True)
class Member:
    """One plain file of an archive."""

    name: PurePosixPath
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path, limits: ArchiveLimits | None = None) -> None:
    """Unpack a zip or tar archive, compressed or not, into the new folder ``target``.

    Raises:
        SbomError: it is no archive, holds a link or a device, names something outside, or is too large. ``target``
            is not there then.
    """
    limits = limits or ArchiveLimits()
    target.mkdir(parents=True)
    try:
        left = limits.size
        for member in members(archive, limits):
            place = target.joinpath(*member.name.parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, place.open("xb") as out:
                while chunk := source.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise SbomError(
                            f"it unpacks to more than {limits.size:,} bytes", next_step="check what made the archive"
                        )
                    out.write(chunk)
    except SbomError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise SbomError(error.what, where=Location(archive.name), next_step=error.next_step) from error
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError) as error:
        # A name that is a file here and a folder there ends in OSError, an encrypted zip in RuntimeError.
        shutil.rmtree(target, ignore_errors=True)
        raise SbomError(
            f"the archive cannot be unpacked: {str(error)[:200] or type(error).__name__}",
            where=Location(archive.name),
            next_step="check that it is whole, and made by the tool of its kind",
        ) from error


def is_archive(file: Path) -> bool:
    """Whether the file begins as a zip or tar archive."""
    try:
        return zipfile.is_zipfile(file) or tarfile.is_tarfile(file)
    except (OSError, EOFError, zlib.error):
        return False


def members(archive: Path, limits: ArchiveLimits) -> Iterator[Member]:
    """The plain files of an archive, each to be opened before the next is asked for.

    Raises:
        SbomError: an entry is something else than a plain file or folder inside, or there are too many.
    """
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive, limits)
    else:
        yield from _tar_members(archive, limits)


def _zip_members(archive: Path, limits: ArchiveLimits) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        if len(entries) > limits.members:
            raise _too_many(limits)
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            name = _safe(entry.filename)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_plain_file(entry.filename)
            if not entry.is_dir():
                yield Member(name, lambda entry=entry: opened.open(entry))  # type: ignore[misc]  # mypy cannot type a default of a lambda


def _tar_members(archive: Path, limits: ArchiveLimits) -> Iterator[Member]:
    with tarfile.open(archive, "r:*") as opened:
        for number, entry in enumerate(opened):
            if number >= limits.members:
                raise _too_many(limits)
            name = _safe(entry.name)
            if entry.isdir():
                continue
            if not entry.isreg() or entry.issparse():
                raise _no_plain_file(entry.name)
            yield Member(name, lambda entry=entry: _stream(opened, entry))  # type: ignore[misc]  # mypy cannot type a default of a lambda


def _stream(opened: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    stream = opened.extractfile(entry)
    if stream is None:
        raise _no_plain_file(entry.name)
    return stream


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in name.split("/")[0]:
        raise SbomError(
            f"it names '{name[:100]}', which lies outside of where it is unpacked",
            next_step="do not use this archive; find out who made it",
        )
    return path


def _no_plain_file(name: str) -> SbomError:
    return SbomError(
        f"'{name[:100]}' in it is a link or no plain file",
        next_step="make the archive of plain files; links could lead out of the folder it is unpacked into",
    )


def _too_many(limits: ArchiveLimits) -> SbomError:
    return SbomError(f"it has more than {limits.members:,} entries", next_step="check what made the archive")
