"""What a run will cost, from what its steps have cost before."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from maestro.ledger.insight.forecast import quantile
from maestro.ledger.model import Charge, Unit, shown

_DRAWS = 1000
_SEED = 20
_HIGH = 0.9
_MOST_RUNS = 50
"""Of each step, the newest: what it cost long ago was another prompt."""
_FEWEST_FOR_A_QUANTILE = 5


@dataclass(frozen=True, slots=True)
class StepForecast:
    """What one step has cost.

    Args:
        runs: how many runs of it are known.
        likely: the middle of them; high: nine in ten cost at most this. With fewer than five runs, the dearest.
    """

    runs: int
    likely: int
    high: int


@dataclass(frozen=True, slots=True)
class RunForecast:
    """What a run will cost.

    Args:
        likely, high: of the steps that are known, together; None: none of them is.
        steps: those with a history.
        unknown: those that never spent anything.
    """

    unit: Unit
    likely: int | None
    high: int | None
    steps: Mapping[str, StepForecast]
    unknown: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """It in words."""
        if self.likely is None or self.high is None:
            return "what it will cost is not known: none of its steps has spent anything yet"
        runs = min(one.runs for one in self.steps.values())
        times = "once" if runs == 1 else f"{runs} times"
        rest = f"; not known: {', '.join(self.unknown)}" if self.unknown else ""
        return (
            f"about {shown(self.unit, self.likely)}, 9 in 10 times at most {shown(self.unit, self.high)}"
            f" (each step was seen at least {times}){rest}"
        )


def run_forecast(past: Iterable[Charge], steps: Collection[str], *, unit: Unit = Unit.USD) -> RunForecast:
    """What running these steps will cost, from charges of earlier runs of the same project.

    Args:
        past: in any order; charges of other steps, of no run or of other units are passed over.
        steps: names as in ``Attribution.step``.
    """
    wanted = frozenset(steps)
    sums: dict[str, dict[str, int]] = {}
    newest: dict[str, float] = {}
    for one in past:
        run, step = one.attribution.run, one.attribution.step
        if one.unit is unit and run is not None and step in wanted:
            of_step = sums.setdefault(step, {})
            of_step[run] = of_step.get(run, 0) + one.amount
            newest[run] = max(newest.get(run, 0.0), one.at.timestamp())
    costs = {
        step: [of_run[run] for run in sorted(of_run, key=newest.__getitem__, reverse=True)[:_MOST_RUNS]]
        for step, of_run in sorted(sums.items())
    }
    found = {step: StepForecast(len(seen), round(median(seen)), _high(seen)) for step, seen in costs.items()}
    unknown = tuple(sorted(wanted - found.keys()))
    if not found:
        return RunForecast(unit, None, None, {}, unknown)
    if len(costs) == 1:
        (only,) = found.values()
        return RunForecast(unit, only.likely, only.high, found, unknown)
    # Steps are taken for independent of one another, so the sum's quantile is less than the sum of theirs.
    chance = random.Random(_SEED)
    totals = sorted(float(sum(chance.choice(seen) for seen in costs.values())) for _ in range(_DRAWS))
    return RunForecast(unit, round(quantile(totals, 0.5)), round(quantile(totals, _HIGH)), found, unknown)


def _high(seen: list[int]) -> int:
    if len(seen) < _FEWEST_FOR_A_QUANTILE:
        return max(seen)
    return round(quantile(sorted(float(one) for one in seen), _HIGH))
