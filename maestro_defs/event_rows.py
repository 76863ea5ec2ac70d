"""The newest materializations kept at hand.

For every asset check Dagster reads back the materialization it has just written, and for every input the one the step
before has. What this process wrote itself it need not read again; what it did not write is read as ever.

Private seams used, pinned by tests/integration/test_dagster_seams.py: ``SqlEventLogStorage._store_asset_event``,
``.fetch_materializations``, ``.get_asset_records``, ``.get_latest_tags_by_partition``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, EventLogEntry, EventLogRecord
from dagster._core.event_api import EventRecordsResult
from dagster._core.storage.event_log.base import AssetEntry, AssetRecord
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy.engine import Connection


class NewestMaterializations:
    """The materializations this process wrote last, by asset and partition."""

    def __init__(self, storage: SqlEventLogStorage) -> None:
        self._store = storage._store_asset_event
        self._fetch = storage.fetch_materializations
        self._records = storage.get_asset_records
        self._tags = storage.get_latest_tags_by_partition
        self._lock = threading.Lock()
        self._newest: dict[tuple[Any, str | None], EventLogRecord] = {}
        self._last: dict[Any, EventLogRecord] = {}

    def store_asset_event(self, connection: Connection, event: EventLogEntry, event_id: int) -> None:
        """In place of ``_store_asset_event``."""
        self._store(connection, event, event_id)
        self.note(event, event_id)

    def note(self, event: EventLogEntry, event_id: int) -> None:
        """Keeps ``event`` at hand, if it is a materialization; it has just been stored."""
        if event.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION and event.dagster_event is not None:
            key = (event.dagster_event.asset_key, event.dagster_event.partition)
            with self._lock:
                self._newest[key] = self._last[key[0]] = EventLogRecord(event_id, event)

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[AssetRecord]:
        """In place of the storage's own: what a step asks about its inputs, which this run has just made."""
        with self._lock:
            known = [self._last.get(key) for key in asset_keys or ()]
        if not known or not asset_keys or None in known:
            return self._records(asset_keys)
        return [
            AssetRecord(
                storage_id=record.storage_id,
                asset_entry=AssetEntry(asset_key=key, last_materialization_record=record, last_run_id=record.run_id),
            )
            for key, record in zip(asset_keys, known, strict=True)
            if record is not None
        ]

    def get_latest_tags_by_partition(
        self,
        asset_key: AssetKey,
        event_type: DagsterEventType,
        tag_keys: Sequence[str],
        asset_partitions: Sequence[str] | None = None,
        *bounds: Any,
        **more: Any,
    ) -> Mapping[str, Mapping[str, str]]:
        """In place of the storage's own: the data versions of those inputs."""
        with self._lock:
            known = [self._newest.get((asset_key, partition)) for partition in asset_partitions or ()]
        if not known or None in known or bounds or more or event_type != DagsterEventType.ASSET_MATERIALIZATION:
            return self._tags(asset_key, event_type, tag_keys, asset_partitions, *bounds, **more)
        found: dict[str, Mapping[str, str]] = {}
        for partition, record in zip(asset_partitions or (), known, strict=True):
            materialization = record.asset_materialization if record is not None else None
            tags = (materialization.tags or {}) if materialization is not None else {}
            found[partition] = {name: tags[name] for name in tag_keys if name in tags}
        return found

    def fetch_materializations(
        self, records_filter: Any, limit: int, cursor: str | None = None, ascending: bool = False
    ) -> EventRecordsResult:
        """In place of the storage's own: answers what a check asks about the asset it belongs to."""
        if limit == 1 and cursor is None and not ascending and isinstance(records_filter, AssetRecordsFilter):
            partitions = records_filter.asset_partitions or ()
            plain = AssetRecordsFilter(asset_key=records_filter.asset_key, asset_partitions=partitions)
            if len(partitions) == 1 and records_filter == plain:
                with self._lock:
                    known = self._newest.get((records_filter.asset_key, partitions[0]))
                if known is not None:
                    return EventRecordsResult([known], cursor=str(known.storage_id), has_more=False)
        return self._fetch(records_filter, limit, cursor, ascending)
