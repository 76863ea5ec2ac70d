"""When to try again: longer from time to time, never at the same moment as everybody else."""

from __future__ import annotations

from datetime import timedelta
from random import Random

FIRST = timedelta(seconds=1)
OUTAGE = timedelta(seconds=60)
"""The longest pause while nothing answers; so all is said a minute after it answers again."""
PERSON = timedelta(minutes=15)
"""The longest pause while it needs a person: wrong credentials, missing permissions."""


def pause(attempts: int, longest: timedelta, random: Random) -> timedelta:
    """Twice as long each time up to ``longest``, less a random part of up to half of it.

    Args:
        attempts: how often it was tried, at least 1.
    """
    doubled = min(max(attempts, 1) - 1, 30)
    return min(FIRST * (1 << doubled), longest) * random.uniform(0.5, 1.0)
