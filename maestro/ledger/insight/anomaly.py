"""Days on which much more was spent than such a day costs.

A day is compared with the days before it alone, so that what is said of a day never changes afterwards: the expected
amount is the usual level of the last weeks times the usual share of its weekday, and the tolerance comes from how far
days were off so far (median absolute deviation, as in Hampel's filter), on a logarithmic scale because spend scatters
in proportion. Single days, holidays and earlier outliers do not move medians. Only high days are told: a quiet one is
a holiday far more often than a fault, and costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from maestro.ledger.insight.daily import WEEK, Daily

FEWEST_DAYS = 21
"""With less history nothing is flagged: three of each weekday are the fewest that show a week's shape."""
_HISTORY = 13 * WEEK
_LEVEL = 2 * WEEK
_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for normal scatter."""
_TOLERANCE = 3.8
_LEAST_SCATTER = 0.12
"""So that very even spend is not flagged for a little more."""
_LEAST_FACTOR = 1.6
_FEWEST_OF_A_WEEKDAY = 3


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A day out of line.

    Args:
        amount, expected, bound: in the unit's whole numbers; above ``bound`` a day is flagged.
        score: robust standard deviations above what was expected.
        lasts: how many flagged days in a row, this one included; from the second on it is the same alarm.
    """

    day: date
    amount: int
    expected: int
    bound: int
    score: float
    lasts: int = 1


def anomalies(days: Daily, *, least: int = 0) -> list[Anomaly]:
    """The days that are out of line, the oldest first; none in the first four weeks.

    Args:
        least: an excess below this is never flagged, however unusual: nobody wants to be called for a few cents.
    """
    found: list[Anomaly] = []
    offs: list[float] = []
    for number, (day, amount) in enumerate(days.days()):
        expected = _expected(days.amounts[max(0, number - _HISTORY) : number]) if number >= FEWEST_DAYS else 0.0
        if not expected or amount <= 0:
            continue
        off = math.log(amount / expected)
        if len(offs) >= WEEK:
            scatter = max(_LEAST_SCATTER, _scatter(offs[-_HISTORY:]))
            bound = max(expected * max(math.exp(_TOLERANCE * scatter), _LEAST_FACTOR), expected + least)
            if amount > bound:
                lasts = found[-1].lasts + 1 if found and (day - found[-1].day).days == 1 else 1
                found.append(Anomaly(day, amount, round(expected), math.ceil(bound), off / scatter, lasts))
        offs.append(off)
    return found


def _expected(past: Sequence[int]) -> float:
    """What the day after these usually costs, if anything is spent on it at all; 0: not known."""
    # Counted from behind, place 0 of a week is the weekday of the day that is judged.
    weeks = [past[end - WEEK : end] for end in range(len(past), WEEK - 1, -WEEK)]
    levels = [_typical(week) for week in weeks]
    shares = [
        _share([week[place] / level for week, level in zip(weeks, levels, strict=True) if level and week[place] > 0])
        for place in range(WEEK)
    ]
    recent = past[-_LEVEL:]
    level = [one / shares[(at - len(recent)) % WEEK] for at, one in enumerate(recent) if one > 0]
    return median(level) * shares[0] if level else 0.0


def _share(seen: Sequence[float]) -> float:
    """What a weekday costs, compared with its week; seldom used, it is taken for any other day."""
    # A little above the middle: holidays fall on some weekdays more often, and only ever pull down.
    return sorted(seen)[len(seen) * 3 // 5] if len(seen) >= _FEWEST_OF_A_WEEKDAY else 1.0


def _typical(amounts: Sequence[int]) -> float:
    """The usual amount of days on which anything is spent."""
    spent = [one for one in amounts if one > 0]
    return float(median(spent)) if spent else 0.0


def _scatter(offs: Sequence[float]) -> float:
    middle = median(offs)
    return _SIGMA * median([abs(one - middle) for one in offs])
