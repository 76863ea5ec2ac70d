"""Ends a run whose own process could not: undoes what is to be undone, runs its ``finally`` steps, later and elsewhere.

The process may have been killed, or an executor of Dagster's own carried the steps out, which knows no run's end.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData

from maestro.artifacts import EffectJournal
from maestro.errors import InputError, MaestroError
from maestro.execution.compensate import compensations, told, undo
from maestro.execution.log import StepLog
from maestro.execution.session import RunSession
from maestro.execution.step import run_step
from maestro.runs.tags import ENDED_TAG
from maestro.workflow.graph import Node
from maestro_defs.step_logs import StepLogs
from resources.delivery import Source

LATE_END_JOB = "maestro_end_of_run"
_UNDONE = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def claim_end(source: Source, run_id: str, claimant: str) -> None:
    """Makes sure that a run is either resumed or ended late, never both at once.

    Args:
        claimant: ``resume`` or ``end``.

    Raises:
        InputError: the other one came first.
    """
    journal, key = EffectJournal(source.open_store()), _claim(run_id)
    if journal.start(key, {"claimant": claimant}):
        return
    holder = journal.about(key).get("claimant")
    if holder == claimant:
        return
    if holder == "resume":
        raise InputError(f"run {run_id} has been resumed", next_step="look at the run that resumed it")
    raise InputError(
        f"run {run_id} is being ended: its finished steps are undone",
        next_step="try again when that is done, or start a new run with `maestro run`",
    )


def _claim(run_id: str) -> str:
    return f"end-{run_id}"


def end_late(source: Source, instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Does what the run's own process did not; what it did, one line each, also as events of that run."""
    if run.tags.get(ENDED_TAG):
        return []
    claim_end(source, run.run_id, "end")
    lines: list[str] = []
    with source.session(run, _params(run), instance, ending=True) as session:
        for message, metadata in _work(session, run, StepLogs(instance, run.run_id)):
            lines.append(message)
            instance.report_engine_event(message, run, EngineEventData(metadata=metadata))
    instance.add_run_tags(run.run_id, {ENDED_TAG: "late"})
    EffectJournal(source.open_store()).clear(_claim(run.run_id))
    return lines


def _params(run: dg.DagsterRun) -> Mapping[str, Any]:
    config: Any = run.run_config
    for name in ("resources", "params", "config"):
        config = config.get(name, {})
    return dict(config)


def _work(session: RunSession, run: dg.DagsterRun, logs: StepLogs) -> Iterator[tuple[str, dict[str, Any]]]:
    if run.status in _UNDONE:
        for one in compensations(session):
            result = undo(session, one, logs.path(f"{one.node.name.replace('/', '__')}__compensate"))
            yield told(one, result), {"step": one.node.name, "undone": result.passed}
    done = {record.step for record in session.records.of_run(run.run_id)}
    for node in session.graph:
        if node.final and node.name not in done:
            yield f"Finally: step {node.name} {_final(session, node, logs)}", {"step": node.name}


def _final(session: RunSession, node: Node, logs: StepLogs) -> str:
    log = StepLog(logs.path(node.name.replace("/", "__")), session.masker)
    try:
        outcome = run_step(session, node, log)
    except MaestroError as error:
        log.line(str(error))
        return f"could not be run: {error.what}"
    finally:
        log.close()
    if outcome.record is None:
        return f"skipped: {outcome.skipped}"
    return "passed" if outcome.record.passed else f"failed: {outcome.record.summary}"


def late_end_job(source: Source) -> dg.JobDefinition:
    """A job that ends the run named in its configuration; the backstop sensor starts it."""

    @dg.op(config_schema={"run_id": str}, description="Undoes what is to be undone and runs the finally steps.")
    def end_of_run(context: dg.OpExecutionContext) -> None:
        run = context.instance.get_run_by_id(context.op_config["run_id"])
        if run is None:
            raise dg.Failure(f"there is no run {context.op_config['run_id']}", allow_retries=False)
        try:
            for line in end_late(source, context.instance, run):
                context.log.info(line)
        except InputError as error:
            context.log.info(str(error))

    @dg.job(name=LATE_END_JOB, executor_def=dg.in_process_executor, tags={"maestro/internal": "true"})
    def job() -> None:
        end_of_run()

    return job
