"""Routing weights out of scores: what was measured, cautiously, and nothing where too little was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maestro.evals.comparing import FEWEST, Comparison
from maestro.evals.results import ModelRun, passed_rate

LEAST = 0.1
"""No weight is proposed below it: to take a model away is for a person."""
STEP = 0.05
"""A smaller change is noise, and not proposed."""


@dataclass(frozen=True, slots=True)
class ProposedWeight:
    """One model's weight.

    Args:
        now: in effect. proposed: equal to ``now`` where nothing is proposed.
        why: a sentence.
    """

    model: str
    now: float
    proposed: float
    why: str

    @property
    def changes(self) -> bool:
        """Whether something is proposed."""
        return self.proposed != self.now


def propose(
    runs: Sequence[ModelRun], comparisons: Mapping[str, Comparison], current: Mapping[str, float]
) -> tuple[ProposedWeight, ...]:
    """Weights in proportion to the lower end of each model's pass rate; the best one's is 1.

    The lower end, so that a model with few answers is not preferred for its luck. A model keeps its weight when its run
    is partial, has few cases, or had no model behind it; after a regression its weight never rises. The same runs
    always give the same weights.

    Args:
        current: model -> weight in effect; 1 for one that is not named.
    """
    lows = {
        run.model: passed_rate(run).low
        for run in runs
        if run.state == "complete" and not run.offline and len(run.answered) >= FEWEST
    }
    best = max(lows.values(), default=0.0)
    found = []
    for run in sorted(runs, key=lambda one: one.model):
        now = current.get(run.model, 1.0)
        if run.model not in lows:
            found.append(ProposedWeight(run.model, now, now, _kept(run)))
            continue
        measured = max(LEAST, round(lows[run.model] / best, 2)) if best > 0 else now
        said = passed_rate(run)
        why = f"{said.value:.0%} of {len(run.answered)} cases pass, at least {said.low:.0%} with 95 % confidence"
        compared = comparisons.get(run.model)
        if compared is not None and compared.state == "regression" and measured > now:
            measured, why = now, f"{why}; it became worse, so its weight does not rise"
        elif abs(measured - now) < STEP:
            measured, why = now, f"{why}; the change would be smaller than {STEP}"
        found.append(ProposedWeight(run.model, now, measured, why))
    return tuple(found)


def _kept(run: ModelRun) -> str:
    if run.offline:
        return "its answers are made without a model"
    if run.state != "complete":
        return f"its run is partial: {run.problem}"
    return f"{len(run.answered)} cases are too few"
