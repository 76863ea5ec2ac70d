"""One supervisor for one home: whoever has the lock file locked."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maestro.errors import InputError, Location


def holder(file: Path) -> str | None:
    """Id of the process that holds ``file`` locked; None when nobody does."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(descriptor)
    finally:
        os.close(descriptor)
    return None


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Holds ``file`` locked; the kernel lets go of it however the process ends, and no child inherits it.

    Raises:
        InputError: another process holds it.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"a server runs on this home already (process {_written(descriptor)})",
                where=Location(str(file.parent)),
                next_step="stop that one first, or name another folder with --home",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _written(descriptor: int) -> str:
    return os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
