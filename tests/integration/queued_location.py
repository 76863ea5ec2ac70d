"""A code location whose runs come from the UI and from a sensor; two of its ops share a pool."""

from __future__ import annotations

import dagster as dg


@dg.op(pool="one_at_a_time")
def first() -> None:
    """Takes the pool's only place for a moment."""


@dg.op(pool="one_at_a_time")
def second() -> None:
    """Takes the pool's only place for a moment."""


@dg.op
def nothing() -> None:
    """Does nothing."""


@dg.job(executor_def=dg.in_process_executor)
def quick() -> None:
    """One op."""
    nothing()


@dg.job(executor_def=dg.in_process_executor)
def pooled() -> None:
    """Two ops of one pool."""
    first()
    second()


@dg.sensor(job=quick, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def once(_context: dg.SensorEvaluationContext) -> dg.RunRequest:
    """Asks for one run, again and again by the same key."""
    return dg.RunRequest(run_key="only")


defs = dg.Definitions(jobs=[quick, pooled], sensors=[once])
