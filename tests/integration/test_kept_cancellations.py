"""A run that was cancelled stays so, whatever its worker tells of it at the same moment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRunStatus
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.test_utils import create_run_for_test, instance_for_test

from maestro_defs.kept_cancellations import kept_cancellations


@pytest.fixture
def instance(postgres_database: str, request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    overrides = {"storage": {"postgres": {"postgres_url": postgres_database}}} if request.param == "postgres" else {}
    before = dict(os.environ)
    with instance_for_test(overrides=overrides) as made:
        yield made
    os.environ.clear()
    os.environ.update(before)


both = pytest.mark.parametrize("instance", ["sqlite", "postgres"], indirect=True)


def tell(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: DagsterEventType) -> DagsterRunStatus:
    """Has the run's worker say so; the run's status afterwards."""
    instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


@both
@pytest.mark.parametrize("status", [DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED])
def test_a_run_that_was_cancelled_while_its_worker_made_ready_does_not_start(
    instance: dg.DagsterInstance, status: DagsterRunStatus
) -> None:
    run = create_run_for_test(instance, "job", status=status)
    with kept_cancellations(instance):
        assert tell(instance, run, DagsterEventType.RUN_START) == status
    assert tell(instance, run, DagsterEventType.RUN_START) == DagsterRunStatus.STARTED, "Dagster itself writes over it"


@both
def test_a_run_nobody_cancelled_starts_with_its_time(instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, "job", status=DagsterRunStatus.STARTING)
    with kept_cancellations(instance):
        assert tell(instance, run, DagsterEventType.RUN_START) == DagsterRunStatus.STARTED
        record = instance.get_run_record_by_id(run.run_id)
        assert record is not None
        assert record.start_time is not None
        assert tell(instance, run, DagsterEventType.RUN_SUCCESS) == DagsterRunStatus.SUCCESS


@both
def test_a_run_marked_as_cancelled_does_not_become_failed_afterwards(instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, "job", status=DagsterRunStatus.CANCELED)
    with kept_cancellations(instance):
        assert tell(instance, run, DagsterEventType.RUN_FAILURE) == DagsterRunStatus.CANCELED
        assert tell(instance, run, DagsterEventType.RUN_SUCCESS) == DagsterRunStatus.CANCELED


def test_dagsters_events_that_change_a_runs_status_are_those_known_here() -> None:
    assert EVENT_TYPE_TO_PIPELINE_RUN_STATUS[DagsterEventType.RUN_START] == DagsterRunStatus.STARTED
    assert EVENT_TYPE_TO_PIPELINE_RUN_STATUS[DagsterEventType.RUN_FAILURE] == DagsterRunStatus.FAILURE
