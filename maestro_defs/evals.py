"""Evaluations as standing assets: the data set, a run a week for each model, what changed, and the weights it means.

``MAESTRO_EVALS_MODELS`` names the models, with commas between them; without it only the offline provider is evaluated,
and nothing happens by itself. A run of a week that is partial is materialized with a failed check and never compared.
Materializing a week again asks what has no answer yet, and everything only where the run's config says ``again``.
"""

import contextlib
import re
from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from maestro.errors import MaestroError
from maestro.evals.cases import load_dataset
from maestro.evals.charging import Charged as ChargedModels
from maestro.evals.entry import entry_digest
from maestro.evals.evaluating import evaluate, paid_nano
from maestro.evals.history import week_of
from maestro.evals.questions import code_review
from maestro.evals.results import ModelRun, summary
from maestro.evals.running import Evaluation
from maestro.ledger.model import Attribution, dollars
from maestro_defs.evals_setup import DATASET, GROUP, MODELS_VARIABLE, Evals, table, told_by_dagster
from maestro_defs.evals_week import diff_asset, weights_asset

CRON = "23 4 * * 1"
"""Mondays, not on the hour, when everybody asks."""
FIRST_WEEK = "2026-01-05"


class Again(dg.Config):
    """What may be said when a week of a model is materialized."""

    again: bool = Field(False, description="Ask, and pay for, every case of the week again.")


def eval_assets(evals: Evals) -> dg.Definitions:
    """The assets, their job and its schedule, which runs by itself only where models are named."""
    weeks = dg.WeeklyPartitionsDefinition(start_date=FIRST_WEEK, timezone="UTC", day_offset=1, end_offset=1)
    dataset = _dataset(evals)
    runs = [_run(evals, model, name, weeks) for model, name in asset_names(evals.models).items()]
    diff = diff_asset(evals, [one.key for one in runs], weeks)
    weights = weights_asset(evals, diff.key, weeks)
    assets = [dataset, *runs, diff, weights]
    job = dg.define_asset_job("evals_weekly", dg.AssetSelection.assets(*assets))
    running = bool(evals.environ.get(MODELS_VARIABLE))

    @dg.schedule(
        name="evals_weekly",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description="Evaluates the models of the project once a week.",
    )
    def weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        week = week_of(context.scheduled_execution_time.date())
        return dg.RunRequest(run_key=week, partition_key=week)

    return dg.Definitions(assets=assets, jobs=[job], schedules=[weekly])


def asset_names(models: Sequence[str]) -> dict[str, str]:
    """Model -> the part of an asset key that stands for it; ``qwen3:8b`` and ``qwen3.8b`` stay two."""
    names: dict[str, str] = {}
    for model in models:
        plain = name = re.sub(r"\W+", "_", model, flags=re.ASCII).strip("_") or "model"
        number = 2
        while name in names.values():
            name, number = f"{plain}_{number}", number + 1
        names[model] = name
    return names


def _dataset(evals: Evals) -> dg.AssetsDefinition:
    @dg.asset(
        key=evals.key("dataset", DATASET),
        group_name=GROUP,
        kinds={"evals"},
        description="Small changes with one planted defect each, and clean ones, that models are evaluated with.",
    )
    def dataset() -> dg.MaterializeResult[Any]:
        found = load_dataset(DATASET)
        return dg.MaterializeResult(
            metadata={
                "version": found.version,
                "digest": found.digest,
                "cases": len(found.cases),
                "clean": found.clean,
                "languages": table(["language", "cases"], list(found.languages.items())),
            },
            data_version=dg.DataVersion(found.digest),
        )

    return dataset


def _run(evals: Evals, model: str, name: str, weeks: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    key = evals.key(DATASET, name)

    @dg.asset(
        key=key,
        group_name=GROUP,
        kinds={"evals", "llm"},
        partitions_def=weeks,
        deps=[evals.key("dataset", DATASET)],
        check_specs=[dg.AssetCheckSpec("complete", asset=key, description="Every case has an answer.")],
        description=f"What {model} makes of the cases, once a week; paid for from the project's budget.",
    )
    def run(context: dg.AssetExecutionContext, config: Again) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads it
        with told_by_dagster():
            done, about = _evaluated(evals, model, name, context, again=config.again)
        metadata = {**run_metadata(done), **about}
        check = dg.AssetCheckResult(
            check_name="complete",
            passed=done.state == "complete",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"problem": done.problem or "none"},
        )
        return dg.MaterializeResult(metadata=metadata, check_results=[check])

    return run


def _evaluated(
    evals: Evals, model: str, name: str, context: dg.AssetExecutionContext, *, again: bool
) -> tuple[ModelRun, dict[str, Any]]:
    """The week of one model as it is kept now, and what was done for it this time.

    What is kept of the week already is used again, whole or as far as it goes, unless it is wanted ``again``.
    """
    from maestro.execution.model_policy import engine_of
    from maestro.llm.blocking import BlockingGateway
    from maestro.llm.opening import catalogue_for, open_gateway

    charged, history = evals.charged, evals.history()
    kept = None if again else history.get(DATASET, model, context.partition_key)
    earlier = None if kept is None else kept.run
    who = Attribution(charged.tenant, charged.name, run=context.run.run_id, step=f"evals/{name}", actor="evals")
    home = charged.project.ensure_home()
    catalogue = catalogue_for(charged.project.root, evals.environ)
    entry = entry_digest(catalogue, model)
    evaluation = Evaluation(load_dataset(DATASET), code_review(), model, context.partition_key, entry=entry)
    with BlockingGateway(
        lambda: open_gateway(
            home=home,
            environ=evals.environ,
            workspace=charged.project.root,
            catalogue=catalogue,
            policies=engine_of(home, evals.environ),
        )
    ) as gateway:
        models = ChargedModels(gateway, who)
        try:
            done, log = evaluate(evaluation, models, evals.runner, environ=evals.environ, earlier=earlier)
        finally:
            gateway.close()
            unaudited = _audited(evals, context.run.run_id)
    about: dict[str, Any] = {
        "dollars this time": float(dollars(paid_nano(done, earlier))),
        "reused": len(done.answered) if done is earlier else done.reused,
    }
    if unaudited is not None:
        about["audit log"] = unaudited
    if log is not None:
        put = evals.store().put_bytes(log, name=f"{model}.inspect.json", media_type="application/json")
        about["log of inspect-ai"] = f"sha256:{put.sha256}"
    if done is earlier:
        about["note"] = f"complete since {done.started:%Y-%m-%d %H:%M} UTC: nothing was asked; `again` asks everything"
        return done, about
    now = history.put(done).run
    if now is not done:
        about["note"] = f"the complete run of before stays, as this one is partial: {done.problem}"
    return now, about


def _audited(evals: Evals, run: str) -> str | None:
    """Brings the decisions of ``run`` into the project's audit log; why not, when that fails. On a server the conductor
    does.
    """
    from maestro.execution.open_desk import open_desk
    from maestro.ledger.place import is_there, ledger_url
    from maestro.ledger.store import Ledger
    from maestro.llm.auditing import DecisionAudit
    from maestro.profile import load_profile
    from maestro.server.home import HOME_VARIABLE

    project = evals.charged.project
    if evals.environ.get(HOME_VARIABLE) or not is_there(project.home, evals.environ):
        return None
    try:
        desk = open_desk(project, evals.charged.name, load_profile(None), evals.store(), evals.environ)
        with contextlib.closing(desk), Ledger.open(ledger_url(project.home, evals.environ)) as ledger:
            DecisionAudit(ledger.engine, lambda: desk).of_run(run)
    except MaestroError as error:
        return f"why these models were asked is not in it: {error.what}; the next run that asks one brings it there"
    return None


def run_metadata(run: ModelRun) -> dict[str, Any]:
    """What the UI shows of a run; numbers plot over weeks. Rates of a partial run are named so."""
    numbers = summary(run)
    partial = "" if run.state == "complete" else " (partial)"
    return {
        "model": run.model,
        "state": run.state,
        "runner": run.runner,
        "offline": run.offline,
        "dataset": f"{run.asked.dataset} {run.asked.version}",
        f"passed{partial}": numbers.passed.value,
        f"passed, low{partial}": numbers.passed.low,
        f"passed, high{partial}": numbers.passed.high,
        f"defects found{partial}": numbers.found.value,
        f"clean disturbed{partial}": numbers.alarmed.value,
        "answered": numbers.answered,
        "cases": numbers.cases,
        "false alarms": numbers.false_alarms,
        "dollars": float(dollars(numbers.total_nano)),
        "tokens": numbers.tokens,
        "seconds": run.seconds,
        "seconds a case": numbers.seconds.value if numbers.seconds else 0.0,
    }
