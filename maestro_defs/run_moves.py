"""Moves a run from one status to another exactly when it still has the first.

Dagster reads a run, decides, and writes its new status over whatever has become of it meanwhile: a run that somebody
cancels at the moment it is taken from the queue would start all the same. Here one UPDATE compares and sets, so of a
launch and a cancellation one wins, whichever processes they come from.

Private seams used: ``SqlRunStorage.connect``, ``RunsTable``, ``DagsterInstance.store_event``. Pinned by
tests/integration/test_coordinator.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, EventLogEntry
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import RunsTable
from dagster._time import get_current_datetime, get_current_timestamp

from maestro.errors import MaestroError
from maestro.server.patience import patiently

_PATIENCE = 30.0
"""Seconds."""

_EVENTS = {
    DagsterRunStatus.QUEUED: DagsterEventType.PIPELINE_ENQUEUED,
    DagsterRunStatus.STARTING: DagsterEventType.PIPELINE_STARTING,
    DagsterRunStatus.CANCELING: DagsterEventType.PIPELINE_CANCELING,
}
CANCELLED = "Cancelled"
"""How every message that gives the reason of a cancellation begins."""
_BEFORE_IT_STARTS = (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED)
_FROM_THE_QUEUE = (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands.

    Args:
        position: grows from run to run as they are made.
    """

    run_id: str
    position: int
    status: DagsterRunStatus


def standings(instance: DagsterInstance, statuses: Sequence[DagsterRunStatus]) -> list[Standing]:
    """All runs with one of ``statuses``, the oldest first, in one query that reads no run's body.

    Raises:
        MaestroError: the instance keeps its runs in something else than an SQL database.
    """
    wanted = sa.select(RunsTable.c.id, RunsTable.c.run_id, RunsTable.c.status)
    wanted = wanted.where(RunsTable.c.status.in_([status.value for status in statuses])).order_by(RunsTable.c.id)
    with _storage(instance).connect() as connection:
        rows = connection.execute(wanted).all()
    return [Standing(run_id, position, DagsterRunStatus(status)) for position, run_id, status in rows]


def status_of(instance: DagsterInstance, run_id: str) -> DagsterRunStatus | None:
    """A run's status without reading the run; None when there is no such run."""
    with _storage(instance).connect() as connection:
        found = connection.execute(sa.select(RunsTable.c.status).where(RunsTable.c.run_id == run_id)).scalar()
    return None if found is None else DagsterRunStatus(found)


def move_run(
    instance: DagsterInstance, run: DagsterRun, before: DagsterRunStatus, after: DagsterRunStatus, message: str = ""
) -> bool:
    """Gives the run the status ``after`` when it has ``before``, and logs Dagster's event of it; False otherwise.

    Args:
        after: QUEUED, STARTING or CANCELING.
        message: of the event.

    Raises:
        MaestroError: as ``standings``.
    """
    if not _swap(instance, run.run_id, before, after):
        return False
    entry = EventLogEntry(  # type: ignore[no-untyped-call]  # Dagster's record classes have no annotations.
        error_info=None,
        level=logging.INFO,
        user_message="",
        run_id=run.run_id,
        timestamp=get_current_timestamp(),
        job_name=run.job_name,
        dagster_event=DagsterEvent(_EVENTS[after].value, run.job_name, message=message or None),
    )
    patiently(instance.store_event, _PATIENCE)(entry)
    return True


def begin_run(instance: DagsterInstance, run_id: str, at: datetime) -> bool:
    """Notes that a run has started, unless it was cancelled, or ended, at the same moment; False then."""
    open_to_it = sa.and_(RunsTable.c.run_id == run_id, RunsTable.c.status.in_([one.value for one in _BEFORE_IT_STARTS]))
    started = {"status": DagsterRunStatus.STARTED.value, "update_timestamp": at, "start_time": at.timestamp()}
    with _storage(instance).connect() as connection:
        return bool(connection.execute(RunsTable.update().where(open_to_it).values(started)).rowcount == 1)


def cancel_in_queue(instance: DagsterInstance, run: DagsterRun, message: str) -> bool:
    """Cancels a run that has not been launched; False when it has been, or has ended."""
    for before in _FROM_THE_QUEUE:
        if move_run(instance, run, before, DagsterRunStatus.CANCELING, message):
            instance.report_run_canceled(run, message=message)
            return True
    return False


def why_cancelled(instance: DagsterInstance, run_id: str) -> str | None:
    """Why a run was cancelled, for people: superseded, or from the queue; None when nobody said, or it was not."""
    said = {DagsterEventType.PIPELINE_CANCELING, DagsterEventType.ENGINE_EVENT}
    for record in instance.get_records_for_run(run_id, of_type=said).records:
        event = record.event_log_entry.dagster_event
        if event is not None and (event.message or "").startswith(CANCELLED):
            return event.message
    return None


def fail_unlaunched(instance: DagsterInstance, run: DagsterRun, message: str) -> bool:
    """Marks a run that is STARTING as failed; False when it is not any more."""
    if not _swap(instance, run.run_id, DagsterRunStatus.STARTING, DagsterRunStatus.FAILURE):
        return False
    instance.report_run_failed(run, message=message)
    return True


def _swap(instance: DagsterInstance, run_id: str, before: DagsterRunStatus, after: DagsterRunStatus) -> bool:
    same = sa.and_(RunsTable.c.run_id == run_id, RunsTable.c.status == before.value)
    moved = RunsTable.update().where(same).values(status=after.value, update_timestamp=get_current_datetime())

    def swap() -> bool:
        with _storage(instance).connect() as connection:
            return bool(connection.execute(moved).rowcount == 1)

    # When the answer to the first attempt was lost, the second one finds the run moved and says no: then nobody goes
    # on with the run, and it is found as one that was left behind. Dagster fails a run that cannot be submitted.
    return patiently(swap, _PATIENCE)()


def _storage(instance: DagsterInstance) -> SqlRunStorage:
    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        raise MaestroError(
            f"runs are kept in {type(storage).__name__}, whose statuses cannot be compared and set",
            next_step="use Dagster's SQLite or PostgreSQL storage",
        )
    return storage
