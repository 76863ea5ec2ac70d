"""The files an image is built from, copied so that they are the same wherever the checkout lies.

A build in the checkout itself would take in what other steps have left there, the permissions of this user's umask, and
whatever somebody saves meanwhile.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from maestro.errors import InputError

NEVER = frozenset({".git", ".maestro", "oci-images"})
"""Names at the top of the workspace that are no part of any context."""
IGNORE_FILES = (".containerignore", ".dockerignore")

_PATTERN = frozenset("*?[!\\")


def stage_context(workspace: Path, context: Path, target: Path, *, without: Collection[Path] = ()) -> int:
    """Copy the folder ``context`` to ``target``: links as links, files with mode 0644 or 0755.

    Left out are folders that ignore themselves (with a ``.gitignore`` that says ``*``), as virtual environments, caches
    and Maestro's own reports do, and what the ignore file names plainly; its other lines are buildah's to follow.

    Args:
        without: further places of the workspace that are left out.

    Returns:
        The number of files.

    Raises:
        InputError: a file cannot be read.
    """
    skipped = {*(workspace / name for name in NEVER), *without, *_plainly_ignored(context)}
    count = 0
    for parent, folders, files in os.walk(context, onerror=_unreadable):
        here = Path(parent)
        there = target / here.relative_to(context)
        there.mkdir(mode=0o755)
        there.chmod(0o755)
        for name in list(folders):
            place = here / name
            if place in skipped or _ignores_itself(place):
                folders.remove(name)
            elif place.is_symlink():
                folders.remove(name)
                files.append(name)
        for name in files:
            if here / name not in skipped:
                count += _copy(here / name, there / name)
    return count


def ignore_file(context: Path) -> Path | None:
    """The file that says what is no part of the context."""
    return next((context / name for name in IGNORE_FILES if (context / name).is_file()), None)


def _copy(source: Path, target: Path) -> bool:
    try:
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_file():
            shutil.copyfile(source, target)
            target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
        else:
            return False  # a socket or a named pipe, which no image holds
    except OSError as error:
        _unreadable(error)
    return True


def _unreadable(error: OSError) -> NoReturn:
    # Left out silently, a folder would make another image.
    raise InputError(
        f"'{Path(error.filename).name}' cannot be taken into the build context: {error.strerror}",
        next_step="make it readable, or name it in .containerignore",
    ) from error


def _ignores_itself(folder: Path) -> bool:
    file = folder / ".gitignore"
    return file.is_file() and file.stat().st_size < 1024 and file.read_bytes().split() == [b"*"]


def _plainly_ignored(context: Path) -> set[Path]:
    """Places named without patterns; none if any line takes something back, since that may lie beneath."""
    file = ignore_file(context)
    if file is None:
        return set()
    lines = [line.strip() for line in file.read_text("utf-8", errors="replace").splitlines()]
    if any(line.startswith("!") for line in lines):
        return set()
    names = [line.strip("/") for line in lines if line and not line.startswith("#") and not _PATTERN & set(line)]
    return {context / name for name in names if name and ".." not in name.split("/")}
