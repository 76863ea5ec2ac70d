"""Takes away what a step could have left for Maestro's own process to fall over: links that lead out, pipes, devices.

A step kind reads and writes the step's scratch folder and its view of the source in the run worker, which sees all of
the host. A link that leads nowhere inside of a sandbox leads somewhere out there: to another project's secrets.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from maestro.process.sandbox_arguments import CONFIGURATION, SYSTEM


def remove_strays(folder: Path, seen: Iterable[Path] = ()) -> list[Path]:
    """Removes from ``folder`` links to places a sandboxed step does not see, and all that is no file, folder or link.

    No process of the step may go on meanwhile.

    Args:
        seen: further folders the step sees as they are.

    Returns:
        What was removed.
    """
    allowed = [os.path.realpath(one) for one in (folder, *seen)]
    allowed += [*SYSTEM, *(os.path.realpath(one) for one in SYSTEM), *(f"/etc/{name}" for name in CONFIGURATION)]
    removed = []
    for entry in _entries(folder):
        if entry.is_symlink():
            stray = not _beneath(os.path.realpath(entry.path), allowed)
        else:
            mode = entry.stat(follow_symlinks=False).st_mode
            stray = not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
        if stray:
            Path(entry.path).unlink()
            removed.append(Path(entry.path))
    return removed


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as found:
                entries = list(found)
        except PermissionError:
            # The step closed it; it is the same user's.
            Path(here).chmod(0o700)
            with os.scandir(here) as found:
                entries = list(found)
        waiting += [one.path for one in entries if one.is_dir(follow_symlinks=False)]
        yield from entries


def _beneath(place: str, folders: Iterable[str]) -> bool:
    return any(place == folder or place.startswith(f"{folder}/") for folder in folders)
