"""The times a workflow names: each becomes a delivery of its own, taken like any other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import dagster as dg

from maestro.workflow.triggers import Schedule

Deliver = Callable[[Schedule, datetime], str]


def workflow_schedule(number: int, schedule: Schedule, job: str, deliver: Deliver) -> dg.ScheduleDefinition:
    """One of a workflow's times.

    Args:
        number: its place in the file, from 0.
        job: name of the workflow's job; the job itself would be another one of that name in the code location.
        deliver: has the inbox take the delivery of a time, once; says what it did, for people.
    """

    @dg.schedule(
        name="schedule" if number == 0 else f"schedule_{number + 1}",
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        job_name=job,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Delivers the default branch's newest commit: {schedule.cron} ({schedule.timezone}).",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.SkipReason:
        # Not a run request: the conductor plans the run for the newest commit, under an id that cannot come twice.
        return dg.SkipReason(deliver(schedule, context.scheduled_execution_time))

    return tick
