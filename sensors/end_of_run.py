"""The backstop for runs whose process died: marks them as failed, and has done what a run does at its end."""

import time
from collections.abc import Iterator

import dagster as dg

from maestro.runs.process import is_gone
from maestro.runs.tags import ENDED_TAG, PROCESS_TAG, PROJECT_TAG, WORKFLOW_TAG

_INTERVAL_SECONDS = 30
_LOOK_BACK_SECONDS = 7 * 86400.0
_GRACE_SECONDS = 60.0
"""A person who sees a run die may want to resume it: the backstop is in no hurry."""
_AT_ONCE = 20


def end_of_run_sensor(
    project_name: str, workflow_name: str, job: dg.JobDefinition, *, every_run: bool = False
) -> dg.SensorDefinition:
    """Watches the runs of one workflow; ``job`` ends one run.

    Args:
        every_run: runs that succeeded too, for an executor that knows no ``finally`` steps.
    """
    tags = {PROJECT_TAG: project_name, WORKFLOW_TAG: workflow_name}
    statuses = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    if every_run:
        statuses.append(dg.DagsterRunStatus.SUCCESS)

    @dg.sensor(
        name="end_of_run",
        job=job,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose process died: compensations and finally steps.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        # Where Dagster monitors runs, it has them resumed.
        if not context.instance.run_monitoring_enabled:
            _fail_dead_runs(context.instance, tags)
        requests = list(_unended(context.instance, tags, statuses))
        yield from requests
        if not requests:
            yield dg.SkipReason("every run has ended properly")

    return sensor


def _fail_dead_runs(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    alive = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=alive, tags=tags), limit=_AT_ONCE):
        mark = run.tags.get(PROCESS_TAG)
        if mark and is_gone(mark):
            instance.report_run_failed(run, "Its process ended without a word; `maestro retry` resumes it.")


def _unended(
    instance: dg.DagsterInstance, tags: dict[str, str], statuses: list[dg.DagsterRunStatus]
) -> Iterator[dg.RunRequest]:
    records = instance.get_run_records(dg.RunsFilter(statuses=statuses, tags=tags), limit=_AT_ONCE)
    now = time.time()
    for record in records:
        run = record.dagster_run
        since = now - (record.end_time or 0.0)
        if ENDED_TAG not in run.tags and _GRACE_SECONDS < since < _LOOK_BACK_SECONDS:
            yield dg.RunRequest(
                run_key=run.run_id,
                run_config={"ops": {"end_of_run": {"config": {"run_id": run.run_id}}}},
                tags={"maestro/ends": run.run_id},
            )
