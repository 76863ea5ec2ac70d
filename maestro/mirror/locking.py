"""One fetch of a mirror at a time, on this machine: a lock the kernel lets go of when its holders end."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maestro.mirror.errors import UnreachableError

_LOOK_AGAIN_SECONDS = 0.02


@contextmanager
def held(file: Path, *, seconds: float) -> Iterator[int]:
    """Holds the lock ``file`` and gives its descriptor; git inherits it, so an orphaned fetch still holds the lock.

    Raises:
        UnreachableError: another held it all the time.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UnreachableError(
                        f"another fetch of {file.stem} has not ended for {seconds:g} s",
                        retryable=True,
                        next_step="look whether its origin answers",
                    ) from None
                time.sleep(_LOOK_AGAIN_SECONDS)
        try:
            yield descriptor
        finally:
            # Not by closing alone: a process forked meanwhile, or one that git left behind, has the descriptor too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
