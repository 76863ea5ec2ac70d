"""Reads runs from the project's own Dagster instance."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dagster import DagsterInstance, RunsFilter
from dagster._core.storage.compute_log_manager import ComputeIOType

from maestro.runs.event import LogKey, RunEvent, RunRecord
from maestro_defs.run_views import USED_TYPES, event_of, record_of

_PAGE = 1000
_RUNS_PAGE = 50
_LOG_BYTES = 1024 * 1024
_POLL_SECONDS = 0.1


class LocalReader:
    """Reads the runs of ``project_name``; nothing it does keeps a run from writing."""

    def __init__(self, instance: DagsterInstance, project_name: str) -> None:
        self._instance = instance
        self._project_name = project_name

    def recent(self, limit: int) -> list[RunRecord]:
        """The project's newest runs, newest first."""
        found: list[RunRecord] = []
        cursor: str | None = None
        while len(found) < limit:
            page = self._instance.get_run_records(limit=_RUNS_PAGE, cursor=cursor)
            if not page:
                break
            records = [record_of(one) for one in page]
            found += [one for one in records if one.project == self._project_name]
            cursor = page[-1].dagster_run.run_id
        return found[:limit]

    def record(self, run_id: str) -> RunRecord | None:
        """The run of that id."""
        found = self._instance.get_run_record_by_id(run_id)
        return record_of(found) if found else None

    def ids(self) -> Iterator[str]:
        """Ids of all runs, newest first."""
        yield from self._instance.get_run_ids()

    def with_tag(self, name: str, value: str) -> list[RunRecord]:
        """Runs with a tag."""
        return [record_of(one) for one in self._instance.get_run_records(RunsFilter(tags={name: value}))]

    def events(self, run_id: str) -> Iterator[RunEvent]:
        """What has happened in a run so far."""
        yield from LocalWatch(self._instance, run_id).so_far()

    @contextmanager
    def watch(self, run_id: str) -> Iterator[LocalWatch]:
        """What has happened and what happens."""
        yield LocalWatch(self._instance, run_id)

    def logs(self, offsets: Mapping[LogKey, int]) -> dict[LogKey, tuple[bytes, int]]:
        """The next part of each log from the byte given with it, and the byte after it."""
        manager = self._instance.compute_log_manager
        found: dict[LogKey, tuple[bytes, int]] = {}
        for key, offset in offsets.items():
            data, after = manager.get_log_data_for_type(key, ComputeIOType.STDOUT, offset, _LOG_BYTES)
            if data:
                found[key] = (data, after)
        return found


class LocalWatch:
    """The events of one run, from its event log."""

    def __init__(self, instance: DagsterInstance, run_id: str) -> None:
        self._instance = instance
        self._run_id = run_id
        self._cursor: str | None = None

    def so_far(self) -> Iterator[RunEvent]:
        """The events that are there and were not given yet."""
        more = True
        while more:
            page = self._instance.get_records_for_run(self._run_id, self._cursor, set(USED_TYPES), _PAGE)
            self._cursor, more = page.cursor, page.has_more
            yield from (event_of(record.event_log_entry) for record in page.records)

    def news(self, seconds: float) -> list[RunEvent]:
        """The next events; waits up to ``seconds`` for one."""
        deadline = time.monotonic() + seconds
        while True:
            found = list(self.so_far())
            remaining = deadline - time.monotonic()
            if found or remaining <= 0:
                return found
            time.sleep(min(_POLL_SECONDS, remaining))
