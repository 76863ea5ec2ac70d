"""Where a project's warm process listens: a socket in ``warm`` of the state folder, which is the user's alone."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Mapping, Sequence

FOLDER = "warm"


def state_folder(project: str, environ: Mapping[str, str]) -> str | None:
    """The state folder of the project that ``project`` is in, found without git; None when there is none.

    To be wrong does no harm: a warm process carries out commands for any project.
    """
    if environ.get("MAESTRO_HOME"):
        return os.path.abspath(environ["MAESTRO_HOME"])  # noqa: PTH100 - pathlib takes longer to import than all this
    folder = os.path.realpath(project)
    while not os.path.lexists(f"{folder}/.git"):
        above = os.path.dirname(folder)  # noqa: PTH120 - as above
        if above == folder:
            return None
        folder = above
    return f"{folder}/.maestro"


def name_of(identity: Sequence[str]) -> str:
    """Name of the socket for processes of one identity; that they are of one is asked again when they meet."""
    return f"{zlib.crc32(repr(identity).encode('utf-8', 'surrogateescape')):08x}"


def open_folder(state: str, *, make: bool = False) -> int | None:
    """Descriptor of the folder; None when it is not there, or not this user's alone."""
    path = f"{state}/{FOLDER}"
    try:
        if make and not os.path.lexists(path):
            os.mkdir(path, 0o700)  # noqa: PTH102 - as above
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    about = os.fstat(descriptor)
    if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
        os.close(descriptor)
        return None
    return descriptor


def within(folder: int, file: str) -> str:
    """Path of a file in the folder: short enough for a socket however deep the project lies, and never another's."""
    return f"/proc/self/fd/{folder}/{file}"
