"""Makes a fresh fork of the warm server a process of its own that shares nothing with it but memory."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import resource
import signal
from collections.abc import Collection
from pathlib import Path

from maestro.server.home import ServerHome

_WORTHIER = 100
"""How much rather the kernel kills a worker than the warm server when memory is short (of 1,000)."""
_DESCRIPTORS_A_RUN = 24


def become_worker(home: ServerHome, log: Path, keep: Collection[int]) -> None:
    """Own session, log, folder and limits; no signal handler, descriptor or random state of the parent's.

    Args:
        log: where standard output and error go from now on.
        keep: descriptors that stay open beside those three.
    """
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    print_to(log)
    close_others(keep)
    random.seed()
    os.chdir(home.folder)
    limit(home)
    gc.enable()


def print_to(log: Path) -> None:
    """Standard output and error go to the end of ``log``, standard input has nothing."""
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for target, source in ((0, null), (1, opened), (2, opened)):
        os.dup2(source, target)
    os.close(opened)
    os.close(null)


def close_others(keep: Collection[int]) -> None:
    """Closes every descriptor but the first three and ``keep``."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        if descriptor > 2 and descriptor not in keep:
            with contextlib.suppress(OSError):  # The one the folder was read with is closed already.
                os.close(descriptor)


def limit(home: ServerHome) -> None:
    """Sets what the server's settings allow a worker; steps get back what the server itself may have."""
    settings = home.settings.launcher
    if settings.nice:
        os.nice(settings.nice)
    if settings.memory_mb is not None:
        size = settings.memory_mb << 20
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 256 + _DESCRIPTORS_A_RUN * settings.runs_per_worker)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    score = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):
        score.write_text(str(min(1000, int(score.read_text()) + _WORTHIER)))
