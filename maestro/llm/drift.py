"""Whether models are chosen, cost, take and refuse as they did in the weeks before.

Each day of the weeks before gives one value; their median and median absolute deviation make a band, which one odd day
does not widen. A value counts when it has enough calls, and lies outside by more than its own chance could explain.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Literal

from maestro.ledger.model import money
from maestro.llm.calls import Call

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

    group: str
    model: str
    cost_nano: int | None
    seconds: float | None
    refused: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """Costs or times of a model on a day.

    Args:
        middle: trimmed mean of their logarithms; spread: median absolute deviation of those, as standard deviations.
    """

    count: int
    middle: float
    spread: float


@dataclass(frozen=True, slots=True)
class ModelDay:
    """A model's day."""

    calls: int
    refused: int
    numbers: Mapping[Metric, Numbers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Day:
    """What the calls of a day come to; all that is needed of them to judge later days.

    Args:
        groups: route -> model (empty: none was chosen) -> calls.
    """

    groups: Mapping[str, Mapping[str, int]]
    models: Mapping[str, ModelDay]

    @property
    def calls(self) -> int:
        """How many there were."""
        return sum(sum(models.values()) for models in self.groups.values())


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
    "cost": money,
    "latency": lambda value: f"{value:.2f} s",
}


def fact(call: Call) -> Fact | None:
    """What drift looks at; None: an answer from the cache, which costs and takes nothing, or a cancelled call."""
    if call.state in ("cached", "cancelled"):
        return None
    answered = call.state == "answered"
    cost, seconds = (call.cost_nano, call.seconds) if answered else (None, None)
    return Fact(call.group, call.model, cost, seconds, call.state == "refused")


def day_of(facts: Iterable[Fact]) -> Day:
    """What the calls of a day come to."""
    groups: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    models: dict[str, list[Fact]] = defaultdict(list)
    for one in facts:
        groups[one.group][one.model] += 1
        models[one.model].append(one)
    return Day(
        {group: dict(counts) for group, counts in groups.items()},
        {model: _model_day(model, of_it) for model, of_it in models.items() if model},
    )


def drift(recent: Sequence[Fact], before: Sequence[Day]) -> tuple[DriftAlert, ...]:
    """What of the ``recent`` calls lies outside of the band of the days ``before``; sorted, mix first."""
    alerts = [*_mix(recent, before), *_numbers(recent, before), *_refusals(recent, before)]
    order = ("mix", "cost", "latency", "refusals")
    return tuple(sorted(alerts, key=lambda one: (order.index(one.metric), one.subject)))


def _model_day(model: str, of_it: Sequence[Fact]) -> ModelDay:
    numbers = {}
    for metric, read in _READERS.items():
        logs = _logs(of_it, model, read)
        if logs:
            numbers[metric] = Numbers(len(logs), _middle(logs), _spread(logs))
    return ModelDay(len(of_it), sum(one.refused for one in of_it), numbers)


def _mix(recent: Sequence[Fact], before: Sequence[Day]) -> Iterable[DriftAlert]:
    for group in sorted({one.group for one in recent}):
        now = Counter(one.model for one in recent if one.group == group)
        past = [day.groups[group] for day in before if group in day.groups]
        for model in sorted({name for models in (now, *past) for name in models if name}):
            shares = [(models.get(model, 0), sum(models.values())) for models in past]
            yield from _share("mix", f"{group}: {model}", (now[model], now.total()), shares, _SHARE_FLOOR)


def _refusals(recent: Sequence[Fact], before: Sequence[Day]) -> Iterable[DriftAlert]:
    for model in sorted({one.model for one in recent if one.model}):
        now = [one.refused for one in recent if one.model == model]
        past = [day.models[model] for day in before if model in day.models]
        shares = [(day.refused, day.calls) for day in past]
        yield from _share("refusals", model, (sum(now), len(now)), shares, _REFUSAL_FLOOR)


def _share(
    metric: Metric, subject: str, now: tuple[int, int], past: Sequence[tuple[int, int]], floor: float
) -> Iterable[DriftAlert]:
    """Of shares, each as counted and of how many."""
    counted, calls = now
    usual = [part / whole for part, whole in past if whole >= LEAST_CALLS]
    if calls < LEAST_CALLS or len(usual) < LEAST_DAYS:
        return
    value = counted / calls
    middle = median(usual)
    # A share of 0 or 1 would seem certain; half a call more is what nobody has seen yet.
    share = min(max(middle, 0.5 / calls), 1 - 0.5 / calls)
    half = max(floor, WIDTH * _spread(usual), WIDTH * math.sqrt(share * (1 - share) / calls))
    if abs(value - middle) > half:
        yield DriftAlert(metric, subject, value, middle, max(0.0, middle - half), min(1.0, middle + half), calls)


def _numbers(recent: Sequence[Fact], before: Sequence[Day]) -> Iterable[DriftAlert]:
    for metric, read in _READERS.items():
        for model in sorted({one.model for one in recent if one.model}):
            now = _logs(recent, model, read)
            days = [day.models[model].numbers.get(metric) for day in before if model in day.models]
            past = [one for one in days if one is not None and one.count >= LEAST_CALLS]
            if len(now) < LEAST_CALLS or len(past) < LEAST_DAYS:
                continue
            usual = [one.middle for one in past]
            middle, value = median(usual), _middle(now)
            chance = max(_spread(now), median([one.spread for one in past])) * _UNSURE / math.sqrt(len(now))
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


_READERS: Mapping[Metric, Callable[[Fact], float | None]] = {
    "cost": lambda one: None if not one.cost_nano else one.cost_nano / 1e9,
    "latency": lambda one: one.seconds if one.seconds and math.isfinite(one.seconds) else None,
}


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
