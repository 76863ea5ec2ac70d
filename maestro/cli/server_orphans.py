"""Processes that outlived the program that started them: they become the supervisor's, so that none is left behind."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Collection

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on, descendants whose parent dies become children of this process."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def reap_orphans(own: Collection[int]) -> None:
    """Takes note of adopted processes that have ended, so that they go away.

    Args:
        own: ids of the processes somebody else waits for; they are left alone.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)


def end_descendants(seconds: float) -> int:
    """Ends what this process has started or adopted: asks, and kills after ``seconds``; how many there were."""
    import psutil

    left = psutil.Process().children(recursive=True)
    for process in left:
        _quietly(process.terminate)
    _, stubborn = psutil.wait_procs(left, timeout=seconds)
    for process in stubborn:
        _quietly(process.kill)
    psutil.wait_procs(stubborn, timeout=seconds)
    return len(left)


def _quietly(action: Callable[[], None]) -> None:
    import psutil

    try:
        action()
    except psutil.NoSuchProcess:
        return
