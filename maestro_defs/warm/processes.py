"""A process of this machine, told from a later one with the same id by its exact start time."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessName:
    """Names one process for good.

    Args:
        started: clock ticks after boot, as in /proc/PID/stat; setting the clock does not change it.
        boot: id of the boot it belongs to.
    """

    pid: int
    started: int
    boot: str

    @property
    def alive(self) -> bool:
        """Whether it goes on; not when it has ended and waits to be reaped."""
        return self.boot == boot_id() and _started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> bool:
        """Signals it; False when it is gone. Never another process with the same id."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive:
                return False
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
                return True
            return False
        finally:
            os.close(descriptor)


def this_process() -> ProcessName:
    """The process that asks."""
    pid = os.getpid()
    return ProcessName(pid, _started(pid) or 0, boot_id())


@cache
def boot_id() -> str:
    """Of this boot of this machine's kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _started(pid: int) -> int | None:
    """None when there is no such process, or only what is left of one."""
    try:
        # The command in parentheses may hold anything, so what follows the last one is parsed.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
