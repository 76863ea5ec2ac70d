"""A week put together: each model's run against its last good week, and the weights that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maestro.evals.comparing import Comparison, compare
from maestro.evals.history import History, Week
from maestro.evals.report import WeekReport, week_report
from maestro.evals.results import ModelRun
from maestro.evals.weights import propose


def against_last_good(
    history: History, dataset: str, week: str, runs: Sequence[ModelRun], current: Mapping[str, float] | None = None
) -> WeekReport:
    """The report of a week's runs.

    Args:
        runs: one a model.
        current: model -> routing weight in effect; None: no weights are proposed.
    """
    baselines: dict[str, ModelRun | None] = {}
    passed_over: dict[str, tuple[str, ...]] = {}
    for run in runs:
        good, passed_over[run.model] = history.last_good(dataset, run.model, week)
        baselines[run.model] = None if good is None else good.run
    compared = {
        model: one.model_copy(update={"notes": (*one.notes, *passed_over[model])})
        for model, one in compare({run.model: (run, baselines[run.model]) for run in runs}).items()
    }
    weights = () if current is None else propose(runs, compared, current)
    return week_report(dataset, week, runs, compared, baselines, weights)


def close_week(
    history: History, dataset: str, week: str, models: Sequence[str], current: Mapping[str, float]
) -> tuple[WeekReport, tuple[str, ...]]:
    """Compares what is kept of a week and keeps how it compared, so that later weeks know whether it was good.

    Returns:
        The report, and the models nothing is kept of.
    """
    kept = {model: history.get(dataset, model, week) for model in models}
    weeks: dict[str, Week] = {model: found for model, found in kept.items() if found is not None}
    report = against_last_good(history, dataset, week, [found.run for found in weeks.values()], current)
    comparisons: dict[str, Comparison] = {one.run.model: one.comparison for one in report.models}
    for model, found in weeks.items():
        history.compared(found, comparisons[model])
    return report, tuple(model for model in models if model not in weeks)
