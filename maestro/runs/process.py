"""Names the process that carries out a run on this machine, and finds it again."""

from __future__ import annotations

import os

import psutil


def process_mark() -> str:
    """Names this process so that it can be found again: host, process id, and when it started."""
    return f"{os.uname().nodename} {os.getpid()} {psutil.Process().create_time():.2f}"


def process_of(mark: str) -> psutil.Process | None:
    """The process ``mark`` names, when it is alive and on this machine.

    Raises:
        ValueError: it is of another machine, or not a mark.
    """
    host, pid, created = mark.rsplit(" ", 2)
    if host != os.uname().nodename:
        raise ValueError(host)
    try:
        process = psutil.Process(int(pid))
        alive = abs(process.create_time() - float(created)) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if alive else None


def is_gone(mark: str) -> bool:
    """True when ``mark`` names a process of this machine that is not there any more."""
    try:
        return process_of(mark) is None
    except (ValueError, psutil.AccessDenied):
        return False


def is_of_this_process(mark: str | None) -> bool:
    """True when ``mark`` names this process or the one that started it."""
    if not mark:
        return False
    try:
        process = process_of(mark)
    except (ValueError, psutil.AccessDenied):
        return False
    return process is not None and process.pid in (os.getpid(), os.getppid())
