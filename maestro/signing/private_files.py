"""Files and folders nobody else may read or write: keys, PINs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from maestro.artifacts import durable
from maestro.errors import Location
from maestro.signing.errors import KeyUnusableError

LARGEST = 64 * 1024


def ensure_key_folder(folder: Path) -> None:
    """Make ``folder`` when it is not there, for its owner only (0700).

    Raises:
        KeyUnusableError: others may write there.
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            durable.sync_folder(folder.parent)
    refuse_open_folder(folder)


def refuse_open_folder(folder: Path) -> None:
    """Raise KeyUnusableError when others could put files of their own in place of those in ``folder``."""
    status = folder.stat()
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    # In a folder such as /tmp the sticky bit keeps others from replacing one's files.
    if (others_write and not status.st_mode & stat.S_ISVTX) or status.st_uid not in (0, os.geteuid()):
        raise KeyUnusableError(
            "others may replace the keys in this folder",
            where=Location(str(folder)),
            next_step=f"look whether its files are yours, then: chmod 700 {folder}",
        )


def read_private(path: Path, what: str) -> bytes | None:
    """The content of a file only its owner can read; None when there is no such file.

    Args:
        what: what it holds, for errors: ``key``, ``PIN``.

    Raises:
        KeyUnusableError: others can read it or replace it, or it is no such file.
        OSError: it cannot be read.
    """
    try:
        # Not blocking: somebody may have put a pipe there.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        _refuse_shared(path, os.fstat(descriptor), what)
        refuse_open_folder(path.parent)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(data) > LARGEST:
        raise _unusable(path, f"the file is too large for a {what}", f"name the file the {what} is in")
    return data


def _refuse_shared(path: Path, status: os.stat_result, what: str) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise _unusable(path, f"the {what} is not in a regular file", f"name the file the {what} is in")
    if status.st_uid not in (0, os.geteuid()):
        raise _unusable(path, f"the {what} belongs to somebody else", f"use a {what} of your own")
    if mode & 0o077:
        raise _unusable(
            path,
            f"others may use the {what}: the mode of its file is {mode:04o}",
            f"if nobody has had it yet: chmod 600 {path}; otherwise make a new one",
        )


def _unusable(path: Path, what: str, next_step: str) -> KeyUnusableError:
    return KeyUnusableError(what, where=Location(str(path)), next_step=next_step)
