"""Event rows into SQLite: each event serialized once, no statement built for it, several written in one transaction.

Stock Dagster builds its statements anew for every event, serializes an asset's event twice, and updates an asset's row
only after inserting it has failed. That was half of what a step cost. The rows written are the same; an event of a kind
not known here is left to Dagster.

Private seams used, pinned by tests/integration/test_dagster_seams.py and test_sqlite_rows.py:
``SqliteEventLogStorage.store_event``; ``SqlEventLogStorage._event_to_row``, ``._tags_for_asset_event``,
``._update_asset_check_evaluation``; the columns of ``event_logs``, ``asset_keys``, ``asset_event_tags`` and
``asset_check_executions``; the text of a serialized ``EventLogRecord``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dagster import AssetCheckEvaluation, DagsterEventType, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import DagsterEvent
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from sqlalchemy.engine import Connection

_COLUMNS = ("run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key", "partition")
_INSERT = (
    'INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, "partition") '
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_MATERIALIZED = (
    "INSERT INTO asset_keys (asset_key, last_materialization, last_run_id, last_materialization_timestamp) "
    "VALUES (?, ?, ?, ?) ON CONFLICT (asset_key) DO UPDATE SET last_materialization = excluded.last_materialization, "
    "last_run_id = excluded.last_run_id, last_materialization_timestamp = excluded.last_materialization_timestamp"
)
_PLANNED = (
    "INSERT INTO asset_keys (asset_key, last_run_id, last_materialization_timestamp) VALUES (?, ?, ?) "
    "ON CONFLICT (asset_key) DO UPDATE SET last_run_id = excluded.last_run_id, "
    "last_materialization_timestamp = excluded.last_materialization_timestamp"
)
_TAG = 'INSERT INTO asset_event_tags (event_id, asset_key, "key", value, event_timestamp) VALUES (?, ?, ?, ?, ?)'
_CHECK_PLANNED = (
    'INSERT INTO asset_check_executions (asset_key, check_name, "partition", run_id, execution_status, '
    "evaluation_event, evaluation_event_timestamp, evaluation_event_storage_id) VALUES (?, ?, NULL, ?, ?, ?, ?, ?)"
)
_CHECKED = (
    "UPDATE asset_check_executions SET execution_status = ?, evaluation_event = ?, evaluation_event_timestamp = ?, "
    "evaluation_event_storage_id = ?, materialization_event_storage_id = ? "
    'WHERE asset_key = ? AND check_name = ? AND run_id = ? AND "partition" IS NULL'
)

Connect = Callable[[str], AbstractContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class _Row:
    """An event as it is written; ``write`` is what it means for the tables about assets."""

    event: EventLogEntry
    about: DagsterEvent
    values: tuple[Any, ...]
    write: Callable[..., None]


class _Collected(threading.local):
    """The rows this thread has not written yet; None: each is written at once."""

    rows: list[_Row] | None = None


class SqliteRows:
    """In place of ``SqliteEventLogStorage.store_event``.

    Args:
        connect: the kept connection of a shard.
        materialized: told of every materialization stored here, with its storage id.
    """

    def __init__(
        self, storage: SqliteEventLogStorage, connect: Connect, materialized: Callable[[EventLogEntry, int], None]
    ) -> None:
        self._storage = storage
        self._stock = storage.store_event
        self._connect = connect
        self._materialized = materialized
        self._collected = _Collected()

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Writes what this thread stores within the block at its end, in one transaction for each database.

        Until then nobody can read it. Nothing is locked meanwhile, so other threads may log events.
        """
        if self._collected.rows is not None:
            yield
            return
        self._collected.rows = []
        try:
            yield
        finally:
            rows, self._collected.rows = self._collected.rows, None
            self._write(rows)

    def store_event(self, event: EventLogEntry) -> None:
        """Stores one event, as Dagster would."""
        about = event.dagster_event
        write = _WRITERS.get(about.event_type) if about is not None else None
        if about is None or write is None or not _plain(about) or not event.run_id:
            self._write_collected()
            self._stock(event)
            return
        columns = self._storage._event_to_row(event)
        row = _Row(event, about, tuple(_as_stored(columns[name]) for name in _COLUMNS), write)
        if self._collected.rows is not None:
            self._collected.rows.append(row)
        else:
            self._write([row])

    def _write_collected(self) -> None:
        if self._collected.rows:
            rows, self._collected.rows = self._collected.rows, []
            self._write(rows)

    def _write(self, rows: Sequence[_Row]) -> None:
        for run_id in dict.fromkeys(row.event.run_id for row in rows):
            values = [row.values for row in rows if row.event.run_id == run_id]
            with self._connect(run_id) as connection:
                connection.exec_driver_sql(_INSERT, values if len(values) > 1 else values[0])
        indexed = [row for row in rows if row.write is not _nothing_more]
        if indexed:
            with self._connect(INDEX_SHARD_NAME) as index:
                for row in indexed:
                    event_id = index.exec_driver_sql(_INSERT, row.values).lastrowid
                    row.write(self, index, row.event, row.about, row.values, event_id)

    def _store_materialization(
        self, index: Connection, event: EventLogEntry, about: DagsterEvent, values: tuple[Any, ...], event_id: int
    ) -> None:
        _, text, _, timestamp, _, asset, _ = values
        tags = [
            (event_id, asset, key, value, timestamp)
            for key, value in self._storage._tags_for_asset_event(event).items()
        ]
        if tags:
            index.exec_driver_sql(_TAG, tags)
        index.exec_driver_sql(_MATERIALIZED, (asset, record_text(text, event_id), event.run_id, timestamp))
        self._materialized(event, event_id)

    def _store_planned(
        self, index: Connection, event: EventLogEntry, about: DagsterEvent, values: tuple[Any, ...], event_id: int
    ) -> None:
        index.exec_driver_sql(_PLANNED, (values[5], event.run_id, values[3]))

    def _store_check_planned(
        self, index: Connection, event: EventLogEntry, about: DagsterEvent, values: tuple[Any, ...], event_id: int
    ) -> None:
        planned = about.event_specific_data
        assert isinstance(planned, AssetCheckEvaluationPlanned)
        asset = planned.asset_key.to_string()
        row = (asset, planned.check_name, event.run_id, "PLANNED", values[1], values[3], event_id)
        index.exec_driver_sql(_CHECK_PLANNED, row)

    def _store_check(
        self, index: Connection, event: EventLogEntry, about: DagsterEvent, values: tuple[Any, ...], event_id: int
    ) -> None:
        done = about.event_specific_data
        assert isinstance(done, AssetCheckEvaluation)
        target = done.target_materialization_data.storage_id if done.target_materialization_data else None
        row = ("SUCCEEDED" if done.passed else "FAILED", values[1], values[3], event_id, target)
        where = (done.asset_key.to_string(), done.check_name, event.run_id)
        if index.exec_driver_sql(_CHECKED, row + where).rowcount != 1:
            # Nobody planned it, or several did: what Dagster makes of that is Dagster's.
            self._storage._update_asset_check_evaluation(event, event_id)


def _nothing_more(*_: Any) -> None:
    """An event that is in its run's database only."""


_WRITERS: dict[DagsterEventType, Callable[..., None]] = {
    DagsterEventType.ASSET_MATERIALIZATION: SqliteRows._store_materialization,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED: SqliteRows._store_planned,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED: SqliteRows._store_check_planned,
    DagsterEventType.ASSET_CHECK_EVALUATION: SqliteRows._store_check,
    DagsterEventType.LOGS_CAPTURED: _nothing_more,
    DagsterEventType.STEP_START: _nothing_more,
    DagsterEventType.STEP_OUTPUT: _nothing_more,
    DagsterEventType.STEP_SUCCESS: _nothing_more,
    DagsterEventType.ENGINE_EVENT: _nothing_more,
}


def _plain(about: DagsterEvent) -> bool:
    """Whether a check belongs to no partition, as a workflow's do; only those are written here."""
    data = about.event_specific_data
    if isinstance(data, AssetCheckEvaluationPlanned):
        return data.partitions_subset is None
    return not isinstance(data, AssetCheckEvaluation) or data.partition is None


def _as_stored(value: Any) -> Any:
    # As SQLAlchemy's SQLite dialect writes a DateTime.
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


def record_text(event: str, storage_id: int) -> str:
    """The serialized ``EventLogRecord`` of an event that is serialized already."""
    return f'{{"__class__": "EventLogRecord", "event_log_entry": {event}, "storage_id": {storage_id}}}'
