"""Step kind ``evals.run``: models against cases whose answer is known, compared with their last good week.

The standing assets of evaluations, which keep a run every week, are ``maestro_defs/evals.py``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from assets.llm_forecast import refused_because, worst_of
from maestro.errors import InputError
from maestro.steps import BaseParams, Forecast, PlanContext, Requirement, StepContext, StepKind, StepResult

if TYPE_CHECKING:
    from maestro.artifacts import Artifact
    from maestro.evals.cases import Dataset
    from maestro.evals.report import WeekReport
    from maestro.evals.results import CaseResult, ModelRun
    from maestro.evals.running import Evaluation
    from maestro.llm.catalogue import Catalogue
    from maestro.llm.model import Decision


class EvalsParams(BaseParams):
    """Parameters of ``evals.run``."""

    models: list[str] = Field(min_length=1, max_length=20, description="Models of the catalogue; routes are none.")
    dataset: str = Field("code_review", min_length=1, description="A data set of Maestro's, or a file of the project.")
    runner: Literal["maestro", "inspect"] = Field(
        "maestro", description="inspect: inspect-ai puts the questions (extra `evals`); the scores are the same."
    )
    at_once: int = Field(4, ge=1, le=32, description="Questions under way at the same time, for each model.")
    max_usd_each: float | None = Field(None, gt=0, description="Most one answer may cost, in dollars.")
    fail_on_regression: bool = Field(True, description="False: a regression is reported, and the step passes.")


class NotOneModelError(InputError):
    """What is to be evaluated is a route or a capability, so another model from one week to the next."""


def _check_names(params: EvalsParams, catalogue: Catalogue) -> None:
    """Raises NotOneModelError for a route or a capability, NoModelError for what is nothing."""
    from maestro.llm.targets import unknown_target

    for name in params.models:
        if name in catalogue.models:
            continue
        if name in catalogue.routes:
            kind, able = "route", list(catalogue.routes[name].candidates)
        elif name in catalogue.capabilities:
            kind, able = "capability", [one.name for one in catalogue.models.values() if name in one.capabilities]
        else:
            raise unknown_target(catalogue, name)
        some = ", ".join(able[:5]) + (f" and {len(able) - 5} more" if len(able) > 5 else "")
        raise NotOneModelError(
            f"'{name}' is a {kind}: another model might answer each week, and nothing could be compared",
            next_step=f"name models themselves under `models`; of this {kind}: {some}",
        )


def _evaluations(params: EvalsParams, dataset: Dataset, week: str) -> list[Evaluation]:
    from maestro.evals.questions import code_review
    from maestro.evals.running import Evaluation
    from maestro.ledger.model import nanodollars

    most = None if params.max_usd_each is None else nanodollars(params.max_usd_each, up=False)
    names = list(dict.fromkeys(params.models))
    return [Evaluation(dataset, code_review(), name, week, at_once=params.at_once, max_nano=most) for name in names]


def _run(context: StepContext, params: EvalsParams) -> StepResult:
    from maestro.evals.cases import load_dataset
    from maestro.evals.evaluating import evaluate
    from maestro.evals.history import History, week_of
    from maestro.evals.weekly import against_last_good

    models = context.models
    if models is None:
        raise InputError("an evaluation needs a project", next_step="run it with `maestro run`")
    _check_names(params, models.catalogue)
    week = week_of(datetime.now(UTC).date())
    dataset = load_dataset(params.dataset, context.workspace)
    history = History(context.artifacts, context.source.name)
    runs: list[ModelRun] = []
    logs: list[Artifact] = []
    for evaluation in _evaluations(params, dataset, week):
        context.log.info("evaluates %s with %d cases", evaluation.model, len(dataset.cases))
        run, log = evaluate(
            evaluation,
            models,
            params.runner,
            environ=os.environ,
            cancelled=context.cancelled,
            on_result=lambda result: context.log.info("%s", _line(result)),
        )
        if run.problem:
            context.log.error("%s is partial: %s", run.model, run.problem)
        runs.append(run)
        if log is not None:
            name = f"{evaluation.model}.inspect.json"
            logs.append(context.artifacts.put_bytes(log, name=name, media_type="application/json"))
    report = against_last_good(history, dataset.name, week, runs)
    return _result(context, params, report, logs)


def _line(result: CaseResult) -> str:
    if not result.answered:
        return f"{result.case}: no answer: {result.problem}"
    return f"{result.case}: {'right' if result.passed else 'wrong'}"


def _result(context: StepContext, params: EvalsParams, report: WeekReport, logs: Sequence[Artifact]) -> StepResult:
    from maestro.evals.render_html import to_html
    from maestro.evals.report import MEDIA_TYPE, rows
    from maestro.ledger.model import dollars

    incomplete, worse = report.of_state("incomplete"), report.of_state("regression")
    kept = [
        context.artifacts.put_bytes(to_html(report).encode(), name="evals.html", media_type="text/html"),
        context.artifacts.put_bytes(report.encoded(), name="evals.json", media_type=MEDIA_TYPE),
        *logs,
    ]
    rates = {f"passed {one.run.model}": round(one.numbers.passed.value, 4) for one in report.models}
    metadata: dict[str, Any] = {
        "dataset": f"{report.dataset} {report.models[0].run.asked.version}",
        "dataset digest": report.models[0].run.asked.digest,
        "runner": report.models[0].run.runner,
        "models": rows(report),
        **rates,
    }
    return StepResult(
        passed=not incomplete and not (worse and params.fail_on_regression),
        summary=_summary(report),
        artifacts=kept,
        values={"state": report.state or "", "worse": list(worse), "incomplete": list(incomplete)},
        metadata=metadata,
        cost_usd=float(sum(dollars(one.numbers.total_nano) for one in report.models)),
    )


def _summary(report: WeekReport) -> str:
    """The headline, and of each run that is partial why; what several have in common is said once."""
    by_problem: dict[str, list[str]] = {}
    for one in report.models:
        if one.run.problem:
            by_problem.setdefault(one.run.problem, []).append(one.run.model)
    alone = len(by_problem) == 1
    told = [why if alone else f"{', '.join(models)}: {why}" for why, models in by_problem.items()]
    return "; ".join([report.headline, *told])


def _requires(context: PlanContext, params: EvalsParams) -> list[Requirement]:
    from maestro.evals.cases import load_dataset
    from maestro.evals.with_inspect import interpreter

    load_dataset(params.dataset, context.workspace)
    if params.runner == "inspect":
        interpreter(os.environ)
    return []


def _forecast(context: PlanContext, params: EvalsParams) -> Forecast | None:
    from maestro.evals.cases import load_dataset

    models = context.find_models()
    if models is None:
        return None
    _check_names(params, models.catalogue)
    dataset = load_dataset(params.dataset, context.workspace)
    total: int | None = 0
    refused: list[str] = []
    for evaluation in _evaluations(params, dataset, ""):
        # The longest question stands for all of them: an upper bound, without deciding each.
        longest = max(dataset.cases, key=lambda case: len(case.diff))
        decision = models.decide(evaluation.request(longest))
        worst, reason = worst_of(decision), _refused_because(evaluation.model, decision)
        refused += [] if reason is None else [reason]
        total = None if total is None or worst is None else total + worst * len(dataset.cases)
    by = f"{len(dataset.cases)} cases for each of {', '.join(params.models)}"
    if refused:
        reasons = " ".join(dict.fromkeys(refused))
        return Forecast(likely=None, at_most=total, by=f"{by}. {reasons}", refused=reasons)
    return Forecast(likely=None, at_most=total, by=by)


def _refused_because(model: str, decision: Decision) -> str | None:
    """Why nothing would be asked; an answer of another model is none, and is not asked for."""
    from maestro.evals.running import HOW_TO_SET_UP

    if decision.chosen is None or decision.chosen == model:
        return refused_because(decision)
    why = decision.why.rstrip(".")
    return f"{model} would be answered by {decision.chosen}, which is not to be evaluated: {why}; {HOW_TO_SET_UP}."


def _stays_wrong(error: InputError) -> bool:
    """Models and routes are the revision's; no step before this one makes them."""
    from maestro.llm.catalogue_problems import CatalogueErrors
    from maestro.llm.model import NoModelError

    return isinstance(error, CatalogueErrors | NoModelError | NotOneModelError)


def _describe(params: EvalsParams) -> str:
    return f"Evaluates {', '.join(params.models)} with the cases of {params.dataset}."


EVALS_RUN = StepKind(
    name="evals.run",
    version="1",
    params=EvalsParams,
    run=_run,
    summary="Evaluates models with cases whose answer is known, and compares them with their last good week.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("evals", "llm"),
    check="no_regression",
    # Models change behind their name.
    cached=lambda _params: False,
    forecast=_forecast,
    final_word=_stays_wrong,
)
