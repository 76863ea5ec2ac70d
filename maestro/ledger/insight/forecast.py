"""How a month will end.

What is left of the month is put together many times from whole weeks of the last six, each day taken from the same
weekday, so that the week's shape and its good and bad weeks come along. Where spend rises or falls for certain, older
weeks are first brought to today's level by a robust slope (Theil-Sen), which goes on. Days that were out of line count
as if they had just not been. The middle of what comes out is the forecast, and eight in ten of them are its interval.
The same charges give the same forecast.
"""

from __future__ import annotations

import math
import random
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from statistics import median

from maestro.ledger.insight.anomaly import anomalies
from maestro.ledger.insight.daily import WEEK, Daily
from maestro.ledger.model import Unit, shown

FEWEST_DAYS = 7
"""With fewer whole days of history there is no forecast: a week's shape is not known."""
_GOOD_DAYS = 4 * WEEK
_MOST_DAYS = 6 * WEEK
_DRAWS = 1000
_LOW, _HIGH = 0.1, 0.9
_SEED = 20
_FEWEST_WEEKS = 4
_CERTAIN = 1.7
_LARGEST_CHANGE = 3.0
_WIDER, _WIDER_FROM_DAYS = 1.35, 1.5
"""A few weeks show less of how weeks differ than there is; measured on synthetic years."""
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class MonthForecast:
    """What a month will have cost.

    Args:
        month: ``2026-11``.
        spent: so far.
        low, likely, high: at the end of the month; eight in ten months end between low and high. None: too little data.
        days: whole days of history it rests on.
        quality: ``good``; ``rough`` with less than four weeks of history; ``none`` with less than one.
    """

    month: str
    unit: Unit
    spent: int
    low: int | None
    likely: int | None
    high: int | None
    days: int
    quality: str

    @property
    def sentence(self) -> str:
        """It in words."""
        so_far = f"{shown(self.unit, self.spent)} so far in {self.month}"
        if self.likely is None or self.low is None or self.high is None:
            return f"{so_far}; too little data for a forecast: {_days(self.days)} of history, {FEWEST_DAYS} are needed"
        if self.high == self.spent:
            return f"{so_far}; nothing more is expected"
        rough = f"; rough, from {_days(self.days)} of history" if self.quality == "rough" else ""
        low, likely, high = (shown(self.unit, one) for one in (self.low, self.likely, self.high))
        return f"{so_far}; {likely} by its end, 8 in 10 times between {low} and {high}{rough}"


def month_forecast(days: Daily, now: datetime, *, unit: Unit = Unit.USD) -> MonthForecast:
    """What the month of ``now`` will have cost.

    Args:
        days: spend by day, up to and with today.
        now: with a time zone; the part of today that is over is taken as it was.
    """
    now = now.astimezone(UTC)
    today = now.date()
    first = today.replace(day=1)
    after = first + timedelta(days=monthrange(first.year, first.month)[1])
    spent = sum(amount for day, amount in days.days() if first <= day <= today)
    past = days.before(today, _MOST_DAYS)
    month = f"{first:%Y-%m}"
    if len(past) < FEWEST_DAYS:
        return MonthForecast(month, unit, spent, None, None, None, len(past), "none")
    over = (now - datetime(today.year, today.month, today.day, tzinfo=UTC)).total_seconds() / 86400
    # Place 0 of a week is the weekday of today.
    left = [(number % WEEK, 1.0 - over if number == 0 else 1.0) for number in range((after - today).days)]
    draws = _draws(_tame(days.before(today)), left, today)
    low, likely, high = (spent + round(quantile(draws, share)) for share in (_LOW, 0.5, _HIGH))
    return MonthForecast(
        month, unit, spent, low, likely, high, len(past), "good" if len(past) >= _GOOD_DAYS else "rough"
    )


def day_of_reaching(forecast: MonthForecast, limit: int, now: datetime) -> date | None:
    """The day on which a limit of the month is likely reached, spent evenly from here; None: not this month."""
    if forecast.likely is None or forecast.likely <= limit:
        return None
    today = now.astimezone(UTC).date()
    left = monthrange(today.year, today.month)[1] - today.day + 1
    if forecast.spent >= limit:
        return today
    rate = (forecast.likely - forecast.spent) / left
    return today + timedelta(days=min(left - 1, int((limit - forecast.spent) / rate)))


def _tame(days: Daily) -> list[float]:
    """The days with those that were out of line, and corrections below zero, cut down to what such a day may be."""
    odd = {one.day: one.bound for one in anomalies(days)}
    kept = days.before(days.end, _MOST_DAYS)
    return [float(max(0, min(amount, odd.get(day, amount)))) for day, amount in kept.days()]


@dataclass(frozen=True, slots=True)
class _Weeks:
    """Past weeks at today's level, the newest first, each beginning on the weekday of today.

    Args:
        slope: of a week's total from one week to the next, as a share of today's level; 0 unless it is certain.
    """

    weeks: Sequence[Sequence[float]]
    slope: float


def _weeks(tame: Sequence[float]) -> _Weeks:
    weeks = [tame[end - WEEK : end] for end in range(len(tame), WEEK - 1, -WEEK)]
    totals = [sum(week) for week in weeks]
    slope = _slope(totals)
    now = median([total + age * slope for age, total in enumerate(totals)])
    fitted = [now - age * slope for age in range(len(weeks))]
    if not slope or min(fitted) <= 0:
        return _Weeks(weeks, 0.0)
    factors = [min(_LARGEST_CHANGE, max(1 / _LARGEST_CHANGE, now / one)) for one in fitted]
    moved = [[one * factor for one in week] for week, factor in zip(weeks, factors, strict=True)]
    return _Weeks(moved, slope / now)


def _slope(totals: Sequence[float]) -> float:
    """Of totals, the newest first: Theil and Sen's, where Mann and Kendall's test at 5 % finds one, else 0."""
    count = len(totals)
    pairs = [(totals[a] - totals[b], b - a) for a, b in combinations(range(count), 2)]
    score = abs(sum((rise > 0) - (rise < 0) for rise, _ in pairs))
    if count < _FEWEST_WEEKS or (score - 1) / math.sqrt(count * (count - 1) * (2 * count + 5) / 18) < _CERTAIN:
        return 0.0
    return median([rise / apart for rise, apart in pairs])


def _draws(tame: Sequence[float], left: Sequence[tuple[int, float]], today: date) -> list[float]:
    chance = random.Random(_SEED)
    if len(tame) < _FEWEST_WEEKS * WEEK:
        drawn = _of_days(tame, left, today, chance)
        wider = _WIDER_FROM_DAYS
    else:
        drawn = _of_weeks(_weeks(tame), left, chance)
        wider = _WIDER
    middle = median(drawn)
    return sorted(max(0.0, middle + (one - middle) * wider) for one in drawn)


def _of_weeks(past: _Weeks, left: Sequence[tuple[int, float]], chance: random.Random) -> list[float]:
    totals = [sum(week) for week in past.weeks]
    everything = sum(totals)
    found = []
    for _ in range(_DRAWS):
        # How sure the level itself is: what the mean of as many weeks might as well have been.
        level = sum(chance.choices(totals, k=len(totals))) / everything if everything else 1.0
        total = 0.0
        for begin in range(0, len(left), WEEK):
            week = chance.choice(past.weeks)
            grown = max(0.0, 1.0 + past.slope * (begin / WEEK + 1))
            total += grown * sum(week[place] * share for place, share in left[begin : begin + WEEK])
        found.append(total * level)
    return found


def _of_days(
    tame: Sequence[float], left: Sequence[tuple[int, float]], today: date, chance: random.Random
) -> list[float]:
    """With too few weeks to draw from: from days, working days and weekends apart."""

    def weekend(place: int) -> bool:
        return (today.weekday() + place) % WEEK >= _SATURDAY

    kinds = {kind: [one for at, one in enumerate(tame) if weekend(at - len(tame)) is kind] for kind in (True, False)}
    found = []
    for _ in range(_DRAWS):
        known = {kind: chance.choices(seen, k=len(seen)) for kind, seen in kinds.items()}
        found.append(sum(chance.choice(known[weekend(place)]) * share for place, share in left))
    return found


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share lies, between two neighbours in proportion."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
