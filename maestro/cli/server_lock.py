"""One supervisor for one home: whoever has the lock file locked."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maestro.errors import InputError, Location


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
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            raise InputError(
                f"a server runs on this home already (process {holder or 'unknown'})",
                where=Location(str(file.parent)),
                next_step="stop that one first, or name another folder with --home",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
