"""What is known about a process of a step when it has ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """A finished process and all it has started.

    Args:
        exit_code: as the shell would report it: 128 + signal number when a signal ended it.
        seconds: wall time.
        timed_out: it was stopped because its time was over.
        stopped: it was stopped because ``stop`` was set or everything was terminated.
        leftovers: processes it left behind, which were killed.
        user_seconds, system_seconds: processor time of the whole tree.
        max_rss_bytes: largest resident set of any one process of the tree; never less than what a freshly forked
            process has (about 10 MB).
    """

    exit_code: int
    seconds: float
    timed_out: bool = False
    stopped: bool = False
    leftovers: int = 0
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    max_rss_bytes: int = 0
