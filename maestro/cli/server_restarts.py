"""When a program that died is started again."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
SETTLED_SECONDS = 30.0
"""A program that lived so long was well: its failures before no longer count."""
HOPELESS = 5
"""Failures one after another of a program that never was ready."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a program has died, one time soon after another."""

    failures: int = 0

    def after(self, lived: float) -> Restarts:
        """What holds when it has died again, ``lived`` seconds after its start."""
        return Restarts(1 if lived >= SETTLED_SECONDS else self.failures + 1)

    @property
    def pause(self) -> float:
        """Seconds until it is started again: twice as many each time."""
        return 0.0 if not self.failures else float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - 1, 16)))

    @property
    def hopeless(self) -> bool:
        """Whether a program that never was ready is given up."""
        return self.failures >= HOPELESS
