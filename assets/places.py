"""Keeps the paths a step names inside its workspace."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from maestro.errors import InputError

_GLOB = frozenset("*?[")
_NEVER = ".git"


def inside(workspace: Path, path: str, parameter: str) -> Path:
    """The place ``path`` names, which may not exist yet.

    Raises:
        InputError: it is absolute, climbs with ``..``, or is a symbolic link that leads out of the workspace.
    """
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
        raise InputError(
            f"'{parameter}' is '{path}', which may lie outside the workspace",
            next_step="give a path relative to the workspace, without '..'",
        )
    place = workspace / path
    _refuse_outside(workspace, place, parameter)
    return place


def folder(workspace: Path, path: str, parameter: str) -> Path:
    """The existing folder ``path`` names.

    Raises:
        InputError: it is no folder, or lies outside the workspace.
    """
    place = inside(workspace, path, parameter)
    if not place.is_dir():
        raise InputError(
            f"'{parameter}' is '{path}', and there is no such folder in the workspace",
            next_step=f"correct '{parameter}'",
        )
    return place


def relative(workspace: Path, place: Path) -> str:
    """``place`` as outputs name it: relative to the workspace, POSIX separators."""
    return place.relative_to(workspace).as_posix()


def matches(workspace: Path, pattern: str, parameter: str) -> list[Path]:
    """Files a path, a folder (all files beneath) or a glob names, sorted; ``.git`` is never looked into.

    Raises:
        InputError: the pattern or one of the files it names lies outside the workspace, or `**` is not a whole name.
    """
    literal = inside(workspace, pattern, parameter)
    if literal.exists() or not _GLOB & set(pattern):
        found = _files([literal])
    else:
        # Python 3.13 takes `**x` for `*x`, older ones refuse it; here it is refused by all.
        if any("**" in part and part != "**" for part in PurePosixPath(pattern).parts):
            raise InputError(
                f"'{parameter}' is '{pattern}', where '**' is not a whole name",
                next_step="use '*' and '?' within a name, and '**' alone for any number of folders",
            )
        found = _files(workspace.glob(pattern))
    places = sorted({place for place in found if _NEVER not in place.relative_to(workspace).parts})
    for place in places:
        _refuse_outside(workspace, place, parameter)
    # What is left besides files are links to folders and links to nothing.
    return [place for place in places if place.is_file()]


def publish(made: Path, place: Path) -> None:
    """Put the file ``made`` at ``place`` in one step: whoever looks sees the old file or the whole new one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        # Copied first: the scratch folder may be on another file system, where a rename is impossible.
        shutil.copyfile(made, partial)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir() and not place.is_symlink():
            for parent, _, names in os.walk(place):
                yield from (Path(parent, name) for name in names)
        elif place.exists() or place.is_symlink():
            yield place


def _refuse_outside(workspace: Path, place: Path, parameter: str) -> None:
    if not place.resolve().is_relative_to(workspace.resolve()):
        raise InputError(
            f"'{parameter}' names '{relative(workspace, place)}', a symbolic link that leads out of the workspace",
            next_step="put the file itself into the workspace",
        )
