"""Whether a model became worse: case by case against an earlier run, with a test that knows how much it can see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from maestro.evals.results import CaseResult, ModelRun
from maestro.evals.statistics import detectable_drop, holm, mcnemar

ALPHA = 0.05
FEWEST = 30
"""Pairs below which nothing but a proven difference is said."""
COARSEST = 0.30
"""A test that would miss a drop of so many of the cases says nothing by staying silent."""
_LEAST_NOISE = 0.02

State = Literal["regression", "improvement", "no_difference_seen", "not_enough_cases", "incomplete", "first"]


class Comparison(BaseModel):
    """A run against its baseline.

    Args:
        state: ``regression``, ``improvement``: proven by the test. ``no_difference_seen``: none was, and one of
            ``detectable`` would have been. ``not_enough_cases``: none was, and a large one might be there all the same.
            ``incomplete``: the run is partial. ``first``: there is no good run before it.
        baseline: its week.
        pairs: cases that both have.
        worse, better: cases that passed only before, only now; their ids.
        p: of the exact McNemar test, two-sided. adjusted: with Holm's correction for all models of the week.
        detectable: smallest drop, as a share of the cases, that would be noticed with a chance of 80 %; None: none.
        notes: what else is not the same, a sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    week: str
    state: State
    baseline: str | None = None
    pairs: int = 0
    before: int = 0
    now: int = 0
    worse: tuple[str, ...] = ()
    better: tuple[str, ...] = ()
    p: float | None = None
    adjusted: float | None = None
    alpha: float = ALPHA
    detectable: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What it comes to, for people."""
        return _SENTENCES[self.state](self)


@dataclass(frozen=True, slots=True)
class _Paired:
    current: ModelRun
    baseline: ModelRun
    pairs: int
    before: int
    now: int
    worse: tuple[str, ...]
    better: tuple[str, ...]

    @property
    def p(self) -> float:
        return mcnemar(len(self.worse), len(self.better))


def compare(
    runs: Mapping[str, tuple[ModelRun, ModelRun | None]], *, alpha: float = ALPHA, fewest: int = FEWEST
) -> dict[str, Comparison]:
    """Compares each model's run with its baseline; the more models, the more a single one must differ.

    Args:
        runs: model -> its run and its last good run, if any.
        alpha: chance of any false alarm in all of them, at most.
        fewest: pairs below which silence of the test means nothing.
    """
    paired: dict[str, _Paired] = {}
    found: dict[str, Comparison] = {}
    for model, (current, baseline) in runs.items():
        if current.state != "complete":
            found[model] = _alone(current, "incomplete")
        elif baseline is None:
            found[model] = _alone(current, "first")
        elif baseline.asked.scorer != current.asked.scorer:
            found[model] = _alone(current, "first", f"the week {baseline.week} was scored by other rules")
        else:
            paired[model] = _pair(current, baseline)
    adjusted = holm({model: pair.p for model, pair in paired.items()})
    for model, pair in paired.items():
        found[model] = _judge(pair, adjusted[model], alpha, len(paired), fewest)
    return {model: found[model] for model in runs}


def _alone(run: ModelRun, state: State, *notes: str) -> Comparison:
    return Comparison(model=run.model, week=run.week, state=state, notes=tuple(note for note in notes if note))


def _pair(current: ModelRun, baseline: ModelRun) -> _Paired:
    earlier = {(one.case, one.digest): one for one in baseline.answered}
    both: list[tuple[CaseResult, CaseResult]] = [
        (earlier[one.case, one.digest], one) for one in current.answered if (one.case, one.digest) in earlier
    ]
    return _Paired(
        current,
        baseline,
        len(both),
        sum(old.passed for old, _new in both),
        sum(new.passed for _old, new in both),
        tuple(new.case for old, new in both if old.passed and not new.passed),
        tuple(new.case for old, new in both if new.passed and not old.passed),
    )


def _judge(pair: _Paired, adjusted: float, alpha: float, tests: int, fewest: int) -> Comparison:
    noise = max(_LEAST_NOISE, min(len(pair.worse), len(pair.better)) / max(1, pair.pairs))
    # Holm's first step: what a single model must pass when none of the others differs.
    detectable = detectable_drop(pair.pairs, alpha / tests, noise)
    state: State
    if adjusted <= alpha:
        state = "regression" if len(pair.worse) > len(pair.better) else "improvement"
    elif pair.pairs < fewest or detectable is None or detectable > COARSEST:
        state = "not_enough_cases"
    else:
        state = "no_difference_seen"
    return Comparison(
        model=pair.current.model,
        week=pair.current.week,
        state=state,
        baseline=pair.baseline.week,
        pairs=pair.pairs,
        before=pair.before,
        now=pair.now,
        worse=pair.worse,
        better=pair.better,
        p=pair.p,
        adjusted=adjusted,
        alpha=alpha,
        detectable=detectable,
        notes=tuple(_differences(pair)),
    )


def _differences(pair: _Paired) -> list[str]:
    now, then = pair.current, pair.baseline
    notes = []
    if now.asked.digest != then.asked.digest:
        notes.append(
            f"the data set was version {then.asked.version} then and is {now.asked.version} now; "
            f"the {pair.pairs} cases both have are compared"
        )
    if now.asked.prompt_digest != then.asked.prompt_digest:
        notes.append(f"the prompt changed since ({then.asked.prompt} to {now.asked.prompt}): a difference may be its")
    if now.entry and then.entry and now.entry != then.entry:
        notes.append("the model's entry in the catalogue changed since: a difference may be its")
    if now.runner != then.runner:
        notes.append(f"the questions were put by {then.runner} then, by {now.runner} now")
    return notes


def _points(share: float) -> str:
    return f"{share * 100:.0f} percentage points"


def _seen(one: Comparison) -> str:
    return f"{one.now} of {one.pairs} cases pass, {one.before} did in the week {one.baseline}"


def _blind(one: Comparison) -> str:
    if one.detectable is None:
        return "no drop at all could be noticed with so few cases"
    return f"a drop of less than {_points(one.detectable)} would probably not be noticed"


_SENTENCES: dict[str, Callable[[Comparison], str]] = {
    "regression": lambda one: f"It became worse: {_seen(one)} (adjusted p = {one.adjusted:.3g}).",
    "improvement": lambda one: f"It became better: {_seen(one)} (adjusted p = {one.adjusted:.3g}).",
    "no_difference_seen": lambda one: f"No difference was seen: {_seen(one)}; {_blind(one)}.",
    "not_enough_cases": lambda one: f"There are not enough cases to tell: {_seen(one)}; {_blind(one)}.",
    "incomplete": lambda _one: "It was not compared: the run is partial.",
    "first": lambda _one: "There is no earlier good run to compare with.",
}
