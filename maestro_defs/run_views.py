"""Dagster's runs and events as ``maestro.runs`` reads them."""

from __future__ import annotations

from typing import Any

from dagster import AssetKey, DagsterEventType, DagsterRun, EventLogEntry, RunRecord
from dagster._core.definitions.metadata import BoolMetadataValue, TextMetadataValue
from dagster_shared.error import SerializableErrorInfo

from maestro.runs import event as runs
from maestro.runs.fold import USED_EVENTS

USED_TYPES = frozenset(one for one in DagsterEventType if one.value.replace("PIPELINE_", "RUN_", 1) in USED_EVENTS)


def record_of(record: RunRecord) -> runs.RunRecord:
    """What is kept of a run."""
    run: DagsterRun = record.dagster_run
    assets = sorted(list(key.path) for key in run.asset_selection or ())
    return runs.run_record(
        run_id=run.run_id,
        root_run_id=run.root_run_id,
        parent_run_id=run.parent_run_id,
        job=run.job_name,
        status=run.status.value,
        tags=run.tags,
        assets=assets,
        config=run.run_config,
        times=(record.create_timestamp.timestamp(), record.start_time, record.end_time),
    )


def event_of(entry: EventLogEntry) -> runs.RunEvent:
    """One event of a run."""
    event = entry.dagster_event
    assert event is not None
    kind = event.event_type_value.replace("PIPELINE_", "RUN_", 1)
    time = runs.milliseconds(entry.timestamp)
    assert time is not None
    about: Any = event.event_specific_data
    members: dict[str, Any] = {}
    if kind == "ASSET_MATERIALIZATION_PLANNED":
        members["asset"] = _path(about.asset_key)
    elif kind == "ASSET_MATERIALIZATION":
        members.update(asset=_path(about.materialization.asset_key), metadata=_metadata(about.materialization))
    elif kind == "ASSET_OBSERVATION":
        members.update(asset=_path(about.asset_observation.asset_key), metadata=_metadata(about.asset_observation))
    elif kind == "ASSET_CHECK_EVALUATION":
        # Dagster fails a step for a blocking check of severity ERROR only.
        members.update(passed=about.passed, blocking=about.severity.value == "ERROR", metadata=_metadata(about))
    elif kind == "ENGINE_EVENT" and about is not None:
        members.update(metadata=_metadata(about))
    elif kind in ("STEP_FAILURE", "STEP_UP_FOR_RETRY"):
        failure = getattr(about, "user_failure_data", None)
        members["error"] = (failure.description if failure else None) or _innermost(about.error)
    elif kind == "RUN_FAILURE":
        members["error"] = _innermost(about.error) if about is not None else None
    elif kind == "LOGS_CAPTURED":
        members.update(steps=tuple(about.step_keys or ()), file=about.file_key)
    return runs.RunEvent(kind, time, step_key=event.step_key, message=event.message or "", **members)


def _path(key: AssetKey) -> tuple[str, ...]:
    return tuple(key.path)


def _metadata(holder: Any) -> dict[str, str | bool]:
    found: dict[str, str | bool] = {}
    for name, value in holder.metadata.items():
        if isinstance(value, TextMetadataValue):
            found[name] = value.text or ""
        elif isinstance(value, BoolMetadataValue):
            found[name] = bool(value.value)
    return found


def _innermost(error: SerializableErrorInfo | None) -> str | None:
    while error is not None and error.cause is not None:
        error = error.cause
    return runs.plain_message(error.message, error.cls_name) if error is not None else None
