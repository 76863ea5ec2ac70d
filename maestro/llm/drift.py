"""Whether models are chosen, cost, take and refuse as they did in the weeks before.

Each day of the weeks before gives one value; their median and median absolute deviation make a band, which one odd day
does not widen. A value counts when it has enough calls, and lies outside by more than its own chance could explain.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Literal

from maestro.llm.decisions import Kept

Metric = Literal["mix", "cost", "latency", "refusals"]

WEEKS = 4
WIDTH = 4.5
"""Half the band's width in standard deviations. There are dozens of bands and a look each day; three would cry wolf."""
LEAST_CALLS = 20
"""Calls a window must have to be judged."""
LEAST_DAYS = 7
"""Days with enough calls there must have been before."""
_DEVIATION = 1.4826  # of a normal distribution, in median absolute deviations
_TRIMMED = 0.1  # of the values at each end; what is left is nearly as sure as a mean, and no outlier is in it
_UNSURE = 1.05  # how much less certain it is than a mean
_SHARE_FLOOR = 0.10
_REFUSAL_FLOOR = 0.03
_FACTOR_FLOOR = math.log(1.25)


@dataclass(frozen=True, slots=True)
class Fact:
    """What drift looks at of one call.

    Args:
        group: the route, or what was asked for where there is none.
        cost_nano, seconds: None where nothing answered.
    """

    at: datetime
    group: str
    model: str
    cost_nano: int | None
    seconds: float | None
    refused: bool


@dataclass(frozen=True, slots=True)
class DriftAlert:
    """Something left its band.

    Args:
        subject: for ``mix``: ``route: model``; else the model.
        value: of the window; share of calls, dollars, seconds, share of calls.
        low, high: the band, in the same unit; before: the median of the weeks before.
        calls: of the window.
    """

    metric: Metric
    subject: str
    value: float
    before: float
    low: float
    high: float
    calls: int

    @property
    def above(self) -> bool:
        """Whether it left the band upwards."""
        return self.value > self.before

    def shown(self, value: float) -> str:
        """A value with its unit, as it is written for people."""
        return _SHOWN[self.metric](value)

    @property
    def sentence(self) -> str:
        """For people."""
        show = self.shown
        what = {
            "mix": "of the calls go to",
            "cost": "is what a call costs at",
            "latency": "is what a call takes at",
            "refusals": "of the calls are refused by",
        }[self.metric]
        return (
            f"{show(self.value)} {what} {self.subject} ({self.calls} calls); in the weeks before it was "
            f"{show(self.before)}, and {show(self.low)} to {show(self.high)} would be usual"
        )


_SHOWN: dict[str, Callable[[float], str]] = {
    "mix": lambda value: f"{value:.0%}",
    "refusals": lambda value: f"{value:.1%}",
    "cost": lambda value: f"${value:.4f}",
    "latency": lambda value: f"{value:.2f} s",
}


def facts(kept: Iterable[Kept]) -> list[Fact]:
    """What drift looks at; answers from the cache are left out, as they cost and take nothing."""
    found = []
    for one in kept:
        decision, outcome = one.decision, one.outcome
        if outcome is not None and outcome.state in ("cached", "cancelled"):
            continue
        model = (outcome.model if outcome and outcome.model else decision.chosen) or ""
        answered = outcome is not None and outcome.state == "answered"
        found.append(
            Fact(
                decision.at,
                decision.route or decision.target,
                model,
                outcome.cost_nano if outcome is not None and answered else None,
                outcome.seconds if outcome is not None and answered else None,
                outcome is not None and outcome.state == "refused",
            )
        )
    return found


def drift(
    found: Iterable[Fact], *, now: datetime, window: timedelta = timedelta(days=1), weeks: int = WEEKS
) -> tuple[DriftAlert, ...]:
    """What of the last ``window`` lies outside of the band of the ``weeks`` before it; sorted, mix first."""
    begin = now - window
    first = begin - timedelta(weeks=weeks)
    recent: list[Fact] = []
    days: dict[int, list[Fact]] = defaultdict(list)
    for fact in found:
        if begin <= fact.at < now:
            recent.append(fact)
        elif first <= fact.at < begin:
            days[int((begin - fact.at) / timedelta(days=1))].append(fact)
    before = list(days.values())
    alerts = [*_mix(recent, before), *_numbers(recent, before), *_refusals(recent, before)]
    order = ("mix", "cost", "latency", "refusals")
    return tuple(sorted(alerts, key=lambda one: (order.index(one.metric), one.subject)))


def _mix(recent: Sequence[Fact], before: Sequence[Sequence[Fact]]) -> Iterable[DriftAlert]:
    for group in sorted({fact.group for fact in recent}):
        now = [fact for fact in recent if fact.group == group]
        past = [[fact for fact in day if fact.group == group] for day in before]
        for model in sorted({fact.model for day in (now, *past) for fact in day if fact.model}):
            yield from _share("mix", f"{group}: {model}", now, past, _of(model), _SHARE_FLOOR)


def _of(model: str) -> Callable[[Fact], bool]:
    return lambda fact: fact.model == model


def _refusals(recent: Sequence[Fact], before: Sequence[Sequence[Fact]]) -> Iterable[DriftAlert]:
    for model in sorted({fact.model for fact in recent if fact.model}):
        now = [fact for fact in recent if fact.model == model]
        past = [[fact for fact in day if fact.model == model] for day in before]
        yield from _share("refusals", model, now, past, lambda fact: fact.refused, _REFUSAL_FLOOR)


def _share(
    metric: Metric,
    subject: str,
    now: Sequence[Fact],
    past: Sequence[Sequence[Fact]],
    counts: Callable[[Fact], bool],
    floor: float,
) -> Iterable[DriftAlert]:
    usual = [sum(map(counts, day)) / len(day) for day in past if len(day) >= LEAST_CALLS]
    if len(now) < LEAST_CALLS or len(usual) < LEAST_DAYS:
        return
    value = sum(map(counts, now)) / len(now)
    middle = median(usual)
    # A share of 0 or 1 would seem certain; half a call more is what nobody has seen yet.
    share = min(max(middle, 0.5 / len(now)), 1 - 0.5 / len(now))
    half = max(floor, WIDTH * _spread(usual), WIDTH * math.sqrt(share * (1 - share) / len(now)))
    if abs(value - middle) > half:
        yield DriftAlert(metric, subject, value, middle, max(0.0, middle - half), min(1.0, middle + half), len(now))


def _numbers(recent: Sequence[Fact], before: Sequence[Sequence[Fact]]) -> Iterable[DriftAlert]:
    readers: tuple[tuple[Metric, Callable[[Fact], float | None]], ...] = (
        ("cost", lambda fact: None if not fact.cost_nano else fact.cost_nano / 1e9),
        ("latency", lambda fact: fact.seconds if fact.seconds and math.isfinite(fact.seconds) else None),
    )
    for metric, read in readers:
        for model in sorted({fact.model for fact in recent if fact.model}):
            now = _logs(recent, model, read)
            past = [logs for day in before if len(logs := _logs(day, model, read)) >= LEAST_CALLS]
            if len(now) < LEAST_CALLS or len(past) < LEAST_DAYS:
                continue
            usual = [_middle(logs) for logs in past]
            middle, value = median(usual), _middle(now)
            chance = max(_spread(now), median([_spread(logs) for logs in past])) * _UNSURE / math.sqrt(len(now))
            half = max(_FACTOR_FLOOR, WIDTH * _spread(usual), WIDTH * chance)
            if abs(value - middle) > half:
                yield DriftAlert(
                    metric,
                    model,
                    math.exp(value),
                    math.exp(middle),
                    math.exp(middle - half),
                    math.exp(middle + half),
                    len(now),
                )


def _logs(facts_: Sequence[Fact], model: str, read: Callable[[Fact], float | None]) -> list[float]:
    """Logarithms, since costs and times are skewed: twice and half are equally far."""
    values = (read(fact) for fact in facts_ if fact.model == model)
    return [math.log(value) for value in values if value is not None and value > 0]


def _middle(values: Sequence[float]) -> float:
    cut = int(len(values) * _TRIMMED)
    return fmean(sorted(values)[cut : len(values) - cut])


def _spread(values: Sequence[float]) -> float:
    middle = median(values)
    return _DEVIATION * median([abs(value - middle) for value in values])
