"""What a run writes into Dagster's storages, and asks of them, outlasts a database that is away for a moment.

An event whose commit got through although its answer was lost is written a second time, which the views of runs bear.

Private seams used, pinned by tests/integration/test_dagster_seams.py: the storages of a ``DagsterInstance`` and their
methods' names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import DagsterInstance
from dagster._core.storage.runs import SqliteRunStorage

from maestro.server.patience import SECONDS, patiently

_EVENTS = (
    "store_event",
    "store_event_batch",
    "get_records_for_run",
    "get_logs_for_run",
    "get_asset_records",
    "get_event_records",
    "fetch_materializations",
    "get_latest_tags_by_partition",
    "get_latest_storage_id_by_partition",
    "has_dynamic_partition",
    "add_dynamic_partitions",
    "get_concurrency_info",
    "claim_concurrency_slot",
    "free_concurrency_slots_for_run",
    "free_concurrency_slot_for_step",
    "get_pool_config",
    "get_pool_limits",
    "get_concurrency_keys",
    "initialize_concurrency_limit_to_default",
)
_RUNS = (
    "handle_run_event",
    "add_run",
    "add_run_tags",
    "get_runs",
    "get_run_ids",
    "get_run_records",
    "has_run",
    "has_job_snapshot",
    "add_job_snapshot",
    "get_job_snapshot",
    "has_execution_plan_snapshot",
    "add_execution_plan_snapshot",
    "get_execution_plan_snapshot",
    "get_cursor_values",
    "set_cursor_values",
)


@contextmanager
def patient(instance: DagsterInstance, seconds: float = SECONDS) -> Iterator[None]:
    """Within the block, calls of the instance's storages outlast a database that is away for up to ``seconds``.

    SQLite is part of the process: what it says is no reason to wait.
    """
    if isinstance(instance.run_storage, SqliteRunStorage):
        yield
        return
    wrapped: list[tuple[Any, str, bool, Any]] = []
    try:
        for storage, names in ((instance.event_log_storage, _EVENTS), (instance.run_storage, _RUNS)):
            for name in names:
                method = getattr(storage, name, None)
                if method is None:
                    continue
                wrapped.append((storage, name, name in vars(storage), method))
                vars(storage)[name] = patiently(method, seconds)
        yield
    finally:
        for storage, name, own, method in wrapped:
            if own:
                vars(storage)[name] = method
            else:
                vars(storage).pop(name, None)
