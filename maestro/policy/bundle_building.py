"""Builds a bundle: a tar.gz in OPA's layout whose bytes follow from its content alone, and its signature."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.errors import InputError, Location
from maestro.policy.bundle import PREDICATE_TYPE, SIGNATURE_SUFFIX, Bundle
from maestro.policy.source import MANIFEST

if TYPE_CHECKING:
    from maestro.signing import Signer

_TIME = 0


def bundle_bytes(bundle: Bundle) -> bytes:
    """The archive of ``bundle``; ``opa run --bundle`` takes it. Tests are not in it."""
    manifest = {
        "revision": bundle.revision,
        "roots": list(bundle.roots),
        "rego_version": 1,
        "metadata": {"digest": bundle.digest, "version": bundle.version},
    }
    files = {MANIFEST: json.dumps(manifest, sort_keys=True).encode() + b"\n", **bundle.files}
    unzipped = io.BytesIO()
    with tarfile.open(fileobj=unzipped, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), 0o644, _TIME
            archive.addfile(member, io.BytesIO(data))
    zipped = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=zipped, mode="wb", compresslevel=9, mtime=_TIME) as file:
        file.write(unzipped.getvalue())
    return zipped.getvalue()


def sign_bundle(bundle: Bundle, archive: bytes, signer: Signer) -> bytes:
    """A Sigstore bundle over the archive's sha256; it belongs beside it as ``<archive>.sigstore.json``."""
    from maestro.artifacts import Subject
    from maestro.signing import make_statement, sign_statement

    subject = Subject(f"policy-bundle:{bundle.version}", {"sha256": hashlib.sha256(archive).hexdigest()})
    predicate = {"version": bundle.version, "revision": bundle.revision, "digest": bundle.digest}
    return sign_statement(make_statement([subject], PREDICATE_TYPE, predicate), signer)


def write_bundle(path: Path, archive: bytes, signature: bytes | None) -> None:
    """Writes the archive, and the signature beside it; an old signature goes first, so no wrong one ever lies there.

    Raises:
        InputError: it cannot be written.
    """
    beside = path.with_name(path.name + SIGNATURE_SUFFIX)
    try:
        beside.unlink(missing_ok=True)
        _write(path, archive)
        if signature is not None:
            _write(beside, signature)
    except OSError as error:
        raise InputError(
            f"it cannot be written: {error.strerror}", where=Location(str(path)), next_step="name another file"
        ) from None


def _write(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        # Readable like any file a person writes; mkstemp is for secrets.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
