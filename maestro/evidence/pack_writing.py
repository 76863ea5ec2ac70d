"""Writes the archive of an evidence pack: whole or not at all, and never over something that is there."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from maestro.errors import InputError
from maestro.evidence import pack_layout as layout


def write_archive(target: Path, files: Mapping[str, bytes]) -> str:
    """The archive: README and index first, then sorted, without times and users; its sha256 in hexadecimal.

    Raises:
        InputError: ``target`` is there already, or cannot be written.
    """
    try:
        # A name nobody can guess, made new, and moved by a link, which fails when the target is there.
        descriptor, partial = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb+") as raw:
                _pack(raw, files)
                raw.flush()
                os.fsync(raw.fileno())
                raw.seek(0)
                digest = hashlib.file_digest(raw, "sha256").hexdigest()
                os.fchmod(raw.fileno(), 0o644)
            os.link(partial, target)
        finally:
            Path(partial).unlink(missing_ok=True)
    except FileExistsError:
        raise InputError(f"{target} is there already", next_step="give another name with --output") from None
    except OSError as error:
        raise InputError(
            f"{target} cannot be written: {error.strerror or error}", next_step="give another place with --output"
        ) from error
    return digest


def _pack(raw: BinaryIO, files: Mapping[str, bytes]) -> None:
    import zstandard

    with (
        zstandard.ZstdCompressor(level=10).stream_writer(raw, closefd=False) as packed,
        # ustar has no headers of any size, so a reader can refuse all others.
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in (layout.README, layout.INDEX, *sorted(set(files) - {layout.README, layout.INDEX})):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o644, len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
