"""Reads the files of a bundle, from a folder or an archive, within limits and without trusting a name in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from maestro.errors import Location
from maestro.policy.errors import PolicyError

if TYPE_CHECKING:
    import tarfile

MAX_FILES = 1000
MAX_FILE_BYTES = 1024 * 1024
MAX_BYTES = 16 * 1024 * 1024
MAX_ARCHIVE_BYTES = 8 * 1024 * 1024
MANIFEST = ".manifest"
SUFFIX = ".tar.gz"

_NEXT = "build bundles with `maestro policy bundle build`"


def is_test(name: str) -> bool:
    """The file is for testing policies and belongs to no bundle."""
    parts = PurePosixPath(name)
    return parts.name.endswith("_test.rego") or "samples" in parts.parts


def is_bundled(name: str) -> bool:
    """The file has a meaning in a bundle: a policy, data, the manifest."""
    return name.endswith(".rego") or PurePosixPath(name).name in ("data.json", MANIFEST)


def read_folder(folder: Path, *, tests: bool = False) -> dict[str, bytes]:
    """Relative name -> content of what belongs to a bundle, sorted by name.

    Args:
        tests: the tests as well.

    Raises:
        PolicyError: there is no such folder, it has too much in it, or a link.
    """
    if not folder.is_dir():
        raise _wrong(folder, "there is no such folder", "name a folder with policies, or a bundle")
    names = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith((".", "__")))
        for name in sorted(files + folders):
            path = Path(place, name)
            if path.is_symlink():
                raise _wrong(path, "it is a symbolic link, which no bundle has", "put the file itself there")
        names += [Path(place, name).relative_to(folder).as_posix() for name in files]
        if len(names) > 20 * MAX_FILES:
            raise _wrong(folder, f"it holds more than {20 * MAX_FILES} files", "name the folder of the policies only")
    wanted = sorted(name for name in names if is_bundled(name) and (tests or not is_test(name)))
    found: dict[str, bytes] = {}
    for name in wanted:
        found[name] = _content(folder / name)
        _refuse_excess(folder, found)
    return found


def read_archive(path: Path) -> bytes:
    """The bytes of a bundle's archive, at most 8 MiB.

    Raises:
        PolicyError: it cannot be read or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ARCHIVE_BYTES + 1)
    except OSError as error:
        raise _wrong(path, f"the bundle cannot be read: {error.strerror}", "name a bundle or a folder") from None
    if len(data) > MAX_ARCHIVE_BYTES:
        raise _wrong(path, f"the bundle has more than {MAX_ARCHIVE_BYTES:,} bytes", _NEXT)
    return data


def unpack(data: bytes, path: Path) -> dict[str, bytes]:
    """Name -> content of the files of an archive (tar, gzip), in memory only.

    Raises:
        PolicyError: it is no such archive, unpacks to more than 16 MiB, or has a member that is a link, a device, named
            twice, or named so that it would lie outside.
    """
    import gzip
    import io
    import tarfile
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as zipped:
            unzipped = zipped.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise _wrong(path, "it is no bundle: not gzip", _NEXT) from None
    if len(unzipped) > MAX_BYTES:
        raise _wrong(path, f"the bundle unpacks to more than {MAX_BYTES:,} bytes", _NEXT)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(unzipped), mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= 2 * MAX_FILES:
                    raise _wrong(path, f"the bundle has more than {2 * MAX_FILES} members", _NEXT)
                _refuse_member(member, found, path)
                if member.isdir():
                    continue
                file = archive.extractfile(member)
                name = member.name.removeprefix("./").lstrip("/")
                found[name] = b"" if file is None else file.read(MAX_FILE_BYTES + 1)
                _refuse_excess(path, found)
    except (tarfile.TarError, ValueError, OverflowError):
        raise _wrong(path, "it is no bundle: not tar", _NEXT) from None
    return dict(sorted(found.items()))


def _refuse_member(member: tarfile.TarInfo, found: Mapping[str, bytes], path: Path) -> None:
    shown = ascii(member.name[:200])
    if not (member.isreg() or member.isdir()):
        raise _wrong(path, f"member {shown} is a link or a device", "a bundle holds regular files only; " + _NEXT)
    # OPA's own bundles name their members from the root: "/a/b.rego".
    name = member.name.removeprefix("./").lstrip("/")
    parts = name.split("/")
    if member.isdir() and name in ("", "."):
        return
    if ".." in parts or "" in parts[:-1] or not name or "\\" in name or "\0" in name or ":" in parts[0]:
        raise _wrong(path, f"member {shown} would lie outside of the bundle", _NEXT)
    if name in found:
        raise _wrong(path, f"member {shown} is there twice", _NEXT)


def _content(path: Path) -> bytes:
    try:
        # O_NOFOLLOW: what was a file a moment ago may be a link now.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _wrong(path, "it is no regular file", "put a regular file there")
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _wrong(path, f"it cannot be read: {error.strerror}", "make it readable") from None


def _refuse_excess(path: Path, found: dict[str, bytes]) -> None:
    name = next(reversed(found))
    content = found[name]
    if len(content) > MAX_FILE_BYTES:
        raise _wrong(path, f"{name[:200]!a} has more than {MAX_FILE_BYTES:,} bytes", "split it")
    if len(found) > MAX_FILES:
        raise _wrong(path, f"it holds more than {MAX_FILES} policies", "split it into several bundles")
    if sum(map(len, found.values())) > MAX_BYTES:
        raise _wrong(path, f"its files have more than {MAX_BYTES:,} bytes", "split it into several bundles")


def _wrong(path: Path, what: str, next_step: str) -> PolicyError:
    return PolicyError(what, where=Location(str(path)), next_step=next_step)
