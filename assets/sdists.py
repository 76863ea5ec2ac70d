"""Makes a source distribution the same bytes whenever it is built, where its build backend does not."""

from __future__ import annotations

import gzip
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

_TIMES = frozenset({"mtime", "atime", "ctime"})


def clamp_times(file: Path, latest: int) -> bool:
    """Rewrite the ``.tar.gz`` so that no time in it is later than ``latest``, Unix seconds; True when it was needed.

    Setuptools ignores ``SOURCE_DATE_EPOCH`` for source distributions and writes the times of the checkout. What is
    clamped, and that owners are dropped, is as reproducible-builds.org says under "Archives". An archive of a backend
    that honours the variable is left byte for byte as it is.
    """
    with file.open("rb") as stream:
        # RFC 1952: four bytes of modification time, little-endian, after magic, method and flags.
        head = stream.read(8)
    with tarfile.open(file, "r:gz") as archive:
        written = struct.unpack("<I", head[4:])[0]
        if written <= latest and all(member.mtime <= latest for member in archive):
            return False
    partial = file.with_name(f"{file.name}.partial")
    with (
        tarfile.open(file, "r:gz") as source,
        partial.open("wb") as out,
        gzip.GzipFile("", "wb", 9, out, mtime=min(written, latest)) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in _clamped(source, latest):
            target.addfile(member, source.extractfile(member) if member.isreg() else None)
    partial.replace(file)
    return True


def _clamped(source: tarfile.TarFile, latest: int) -> Iterator[tarfile.TarInfo]:
    for member in source:
        member.mtime = min(int(member.mtime), latest)
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.pax_headers = {key: value for key, value in member.pax_headers.items() if key not in _TIMES}
        yield member
