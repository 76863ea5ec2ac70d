"""Runs of an evaluation made in a moment, by what a model's answers are right about."""

from __future__ import annotations

from collections.abc import Callable

from maestro.errors import MaestroError
from maestro.evals.cases import Case, Dataset
from maestro.evals.questions import code_review
from maestro.evals.results import ModelRun
from maestro.evals.running import OWN_RUNNER, Evaluation, begin, run_cases
from tests.unit.eval_models import ScriptedModels, builtin, right, wrong

WEEK, WEEK_BEFORE, FIRST_WEEK = "2026-11-16", "2026-11-09", "2026-11-02"


def evaluation(model: str = "m", week: str = WEEK, dataset: Dataset | None = None) -> Evaluation:
    return Evaluation(dataset or builtin(), code_review(), model, week)


def run_of(
    model: str = "m", week: str = WEEK, fails: Callable[[int], bool] = lambda _number: False, cases: int | None = None
) -> ModelRun:
    """A run in which the cases with these numbers are answered wrongly.

    Args:
        cases: how many of the data set there are.
    """
    whole = builtin()
    kept = whole.cases[:cases]
    dataset = Dataset(whole.name, whole.version, f"sha256:{len(kept):064x}", kept)
    numbers = {case.id: number for number, case in enumerate(kept)}

    def script(case: Case) -> str | MaestroError:
        return wrong(case) if fails(numbers[case.id]) else right(case)

    return run_cases(begin(evaluation(model, week, dataset), ScriptedModels(script), runner=OWN_RUNNER))
