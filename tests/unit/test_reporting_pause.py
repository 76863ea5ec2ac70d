"""How long is waited between tries."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from maestro.reporting.pause import FIRST, OUTAGE, pause


@pytest.mark.parametrize(
    ("attempts", "whole"),
    [(0, FIRST), (1, FIRST), (2, FIRST * 2), (5, FIRST * 16), (7, OUTAGE), (10_000, OUTAGE)],
)
def test_it_doubles_up_to_the_longest_and_at_most_half_of_it_is_taken_away(attempts: int, whole: timedelta) -> None:
    found = [pause(attempts, OUTAGE, Random(seed)) for seed in range(200)]
    assert whole / 2 <= min(found) < max(found) <= whole


def test_two_do_not_wait_equally_long() -> None:
    random = Random(7)
    assert pause(5, OUTAGE, random) != pause(5, OUTAGE, random)
