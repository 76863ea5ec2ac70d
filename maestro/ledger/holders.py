"""Names the process that reserved, so that others on the same machine see when it is gone."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

_TOLERANCE = 1.0
"""Seconds; a process's start is reckoned from the machine's, which is not known better."""


def this_holder() -> str:
    """Names this process: its machine, its number, and when it started."""
    return _holder(os.getpid())


def is_gone(holder: str) -> bool:
    """True when ``holder`` certainly names a process of this machine that is not there any more."""
    machine, _, rest = holder.rpartition(" pid ")
    if machine != _machine():
        return False
    import psutil

    try:
        pid, created = rest.split(" ")
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(created)) > _TOLERANCE or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, ValueError):
        return False


@lru_cache(maxsize=4)
def _holder(pid: int) -> str:
    import psutil

    return f"{_machine()} pid {pid} {psutil.Process(pid).create_time():.2f}"


@lru_cache(maxsize=1)
def _machine() -> str:
    # Two containers may have one name and number their processes alike; who sees whose processes is what matters here.
    seen = [_read("/proc/sys/kernel/random/boot_id"), _link("/proc/self/ns/pid")]
    return f"{os.uname().nodename} {hashlib.sha256(' '.join(seen).encode()).hexdigest()[:12]}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
