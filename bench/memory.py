"""What processes take of the machine's memory: proportional set sizes, in which shared pages are divided."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil


def tree(pids: Iterable[int]) -> set[int]:
    """These processes and all their descendants."""
    below: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        below.setdefault(process.info["ppid"], []).append(process.pid)
    found: set[int] = set()
    pending = list(pids)
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.add(pid)
            pending += below.get(pid, [])
    return found


def proportional_mb(pids: Iterable[int]) -> float:
    """Sum of the proportional set sizes, in MiB; of those that have ended nothing."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024
