"""Which warm processes a project has."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.cli.warm.place import FOLDER


@dataclass(frozen=True, slots=True)
class Living:
    """One that is ready for commands; ``memory``: bytes that are its own and in memory."""

    pid: int
    memory: int


def living(state: Path) -> Sequence[Living]:
    """Of the project whose state folder this is; more than one where environments differ."""
    found = (_pid(lock) for lock in sorted((state / FOLDER).glob("*.lock")))
    return [Living(pid, _memory(pid)) for pid in found if pid is not None]


def _pid(lock: Path) -> int | None:
    """Of who holds the lock."""
    try:
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
    except (OSError, ValueError):
        return None
    return None


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), 0)
