"""What a crash leaves in a store's folder: half-written files and empty folders. None of it is ever an object."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from maestro.artifacts import keys

# obstore's name for a file being written.
_BEING_WRITTEN = re.compile(r".#\d+\Z")
_WRITTEN_TO = (keys.CAS, keys.CACHE, keys.RUNS, keys.REVISIONS, keys.ANSWERS, keys.QUARANTINE, keys.STAGING)
# The journal's folder is left alone: its writer makes a folder and the file in it in two steps.
_EMPTIED = (keys.CAS, keys.RUNS, keys.REVISIONS)


def sweep(folder: Path, before: datetime, parts: Sequence[str] = _WRITTEN_TO) -> None:
    """Delete half-written files last written earlier than ``before``, and empty folders, in the store at ``folder``.

    Args:
        parts: folders of the store; all that are written to unless given.
    """
    limit = before.timestamp()
    for part in parts:
        for place, folders, files in os.walk(folder / part, topdown=False):
            for name in files:
                if part == keys.STAGING or _BEING_WRITTEN.search(name):
                    _delete_old(Path(place, name), limit)
            if part in _EMPTIED:
                for name in folders:
                    _delete_empty(Path(place, name))


def _delete_old(file: Path, limit: float) -> None:
    try:
        if file.stat().st_mtime < limit:
            file.unlink()
    except FileNotFoundError:
        return


def _delete_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # Not empty; a writer that loses its folder makes it again.
        return
