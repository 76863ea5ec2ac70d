"""A week's report: every model's numbers, how each compares with its last good week, and what weights follow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from maestro.evals.comparing import Comparison, State
from maestro.evals.results import CaseResult, ModelRun, Summary, by_group, summary
from maestro.evals.statistics import Interval
from maestro.evals.weights import ProposedWeight

MEDIA_TYPE = "application/vnd.maestro.evaluation+json"


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model's part.

    Args:
        baseline: the run it was compared with, for the answers that changed.
    """

    run: ModelRun
    numbers: Summary
    comparison: Comparison
    baseline: ModelRun | None = None

    @property
    def changed(self) -> tuple[tuple[str, CaseResult | None, CaseResult], ...]:
        """The cases that passed before or pass now, not both: ``worse`` or ``better``, then, now."""
        now = {one.case: one for one in self.run.results}
        then = {one.case: one for one in self.baseline.results} if self.baseline else {}
        pairs = [("worse", one) for one in self.comparison.worse] + [("better", one) for one in self.comparison.better]
        return tuple((how, then.get(case), now[case]) for how, case in pairs if case in now)

    def groups(self) -> dict[str, dict[str, Interval]]:
        """Pass rates by language and by kind of defect."""
        return {
            "language": by_group(self.run.results, lambda one: one.language),
            "kind": by_group(self.run.results, lambda one: one.kind),
        }


@dataclass(frozen=True, slots=True)
class WeekReport:
    """All models of one data set in one week, by name."""

    dataset: str
    week: str
    models: tuple[ModelReport, ...]
    weights: tuple[ProposedWeight, ...] = ()

    @property
    def state(self) -> State | None:
        """The gravest of the models' states; None without models."""
        states = {one.comparison.state for one in self.models}
        return next((state for state in _GRAVEST_FIRST if state in states), None)

    def of_state(self, state: State) -> tuple[str, ...]:
        """The models in a state."""
        return tuple(one.run.model for one in self.models if one.comparison.state == state)

    @property
    def headline(self) -> str:
        """What the week comes to, in a line."""
        if not self.models:
            return "no model was evaluated"
        parts = [
            f"{_WORDS[state]}: {', '.join(models)}" for state in _GRAVEST_FIRST if (models := self.of_state(state))
        ]
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The report: schema 1. Answers of models are in it as they came; whoever shows them must escape them."""
        return {
            "schema": 1,
            "dataset": self.dataset,
            "week": self.week,
            "state": self.state,
            "headline": self.headline,
            "models": [_model(one) for one in self.models],
            "weights": [{**asdict(one), "changes": one.changes} for one in self.weights],
        }

    def encoded(self) -> bytes:
        """The report as bytes, the same for the same content."""
        return json.dumps(self.to_json(), sort_keys=True, indent=1, ensure_ascii=True).encode() + b"\n"


_GRAVEST_FIRST: tuple[State, ...] = (
    "regression",
    "incomplete",
    "not_enough_cases",
    "first",
    "no_difference_seen",
    "improvement",
)
_WORDS: Mapping[State, str] = {
    "regression": "worse",
    "incomplete": "partial, not compared",
    "not_enough_cases": "not enough cases to tell",
    "first": "nothing to compare with",
    "no_difference_seen": "no difference seen",
    "improvement": "better",
}


def words(state: State) -> str:
    """A state in words."""
    return _WORDS[state]


def week_report(
    dataset: str,
    week: str,
    runs: Sequence[ModelRun],
    comparisons: Mapping[str, Comparison],
    baselines: Mapping[str, ModelRun | None],
    weights: Sequence[ProposedWeight] = (),
) -> WeekReport:
    """The report of a week's runs, by model."""
    models = tuple(
        ModelReport(run, summary(run), comparisons[run.model], baselines.get(run.model))
        for run in sorted(runs, key=lambda one: one.model)
    )
    return WeekReport(dataset, week, models, tuple(weights))


def _model(one: ModelReport) -> dict[str, Any]:
    run = one.run
    return {
        "model": run.model,
        "asked": run.asked.model_dump(mode="json"),
        "runner": run.runner,
        "state": run.state,
        "problem": run.problem,
        "offline": run.offline,
        "started": run.started.isoformat(),
        "seconds": run.seconds,
        "reused": run.reused,
        "numbers": asdict(one.numbers),
        "comparison": {**one.comparison.model_dump(mode="json"), "sentence": one.comparison.sentence},
        "groups": {name: {key: asdict(value) for key, value in found.items()} for name, found in one.groups().items()},
        "changed": [
            {"how": how, "case": now.case, "then": _told(then), "now": _told(now)} for how, then, now in one.changed
        ],
        "results": [result.model_dump(mode="json", exclude={"answer"}) for result in run.results],
    }


def _told(result: CaseResult | None) -> dict[str, Any] | None:
    return None if result is None else {"passed": result.passed, "form": result.form, "answer": result.answer}


def rows(report: WeekReport) -> list[dict[str, str | float | int]]:
    """The report as a table of flat rows, one a model, for the Dagster UI and the terminal."""
    return [
        {
            "model": one.run.model,
            "state": words(one.comparison.state),
            "passed": round(one.numbers.passed.value, 3),
            "at least": round(one.numbers.passed.low, 3),
            "at most": round(one.numbers.passed.high, 3),
            "answered": f"{one.numbers.answered} of {one.numbers.cases}",
            "reused": one.run.reused,
            "false alarms": one.numbers.false_alarms,
            "dollars": one.numbers.total_nano / 1e9,
            "seconds a case": round(one.numbers.seconds.value, 3) if one.numbers.seconds else 0.0,
            "against": one.comparison.baseline or "",
            "says": one.comparison.sentence,
        }
        for one in report.models
    ]
