"""Small files that survive a power cut: written aside, synced, then put in place, and the folder synced too."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def create(target: Path, data: bytes, staging: Path) -> bool:
    """Write ``target`` if it is not there; False when it is. ``staging`` is a folder of the same file system."""
    try:
        _write(target, data, staging, os.link)
    except FileExistsError:
        return False
    return True


def replace(target: Path, data: bytes, staging: Path) -> None:
    """Write ``target``, whatever is there."""
    _write(target, data, staging, os.replace)


def delete(target: Path) -> None:
    """Delete ``target``, if it is there."""
    try:
        target.unlink()
    except FileNotFoundError:
        return
    sync_folder(target.parent)


def sync_file(file: Path) -> None:
    """Make ``file`` and its name durable, if it is there."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(target: Path, data: bytes, staging: Path, put_in_place: Callable[[Path, Path], None]) -> None:
    _make_folder(staging)
    _make_folder(target.parent)
    temporary = staging / os.urandom(16).hex()
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, target)
    except FileExistsError:
        # Another writer's entry counts from now on, so it has to be as durable as ours would have been.
        sync_folder(target.parent)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
