"""GraphQL's runs and events as ``maestro.runs`` reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from maestro.runs.event import RunEvent, RunRecord, milliseconds, plain_message, run_record

Answer = Mapping[str, Any]


def record_of(run: Answer) -> RunRecord:
    """What is kept of a run."""
    assets = sorted([str(part) for part in one["path"]] for one in run.get("assetSelection") or ())
    return run_record(
        run_id=run["runId"],
        root_run_id=run.get("rootRunId"),
        parent_run_id=run.get("parentRunId"),
        job=run["jobName"],
        status=run["status"],
        tags={one["key"]: one["value"] for one in run["tags"]},
        assets=assets,
        config=_yaml(run.get("runConfigYaml")),
        times=(run.get("creationTime"), run.get("startTime"), run.get("endTime")),
    )


def event_of(event: Answer) -> RunEvent | None:
    """One event of a run; None for a line that a person's code logged."""
    kind = event.get("eventType")
    if not kind:
        return None
    kind = str(kind).replace("PIPELINE_", "RUN_", 1)
    members: dict[str, Any] = {}
    if event.get("assetKey"):
        members["asset"] = tuple(event["assetKey"]["path"])
    if "metadataEntries" in event:
        members["metadata"] = _metadata(event["metadataEntries"])
    evaluation = event.get("evaluation")
    if evaluation:
        members.update(
            passed=bool(evaluation["success"]),
            blocking=evaluation["severity"] == "ERROR",
            metadata=_metadata(evaluation["metadataEntries"]),
        )
    if kind in ("STEP_FAILURE", "STEP_UP_FOR_RETRY", "RUN_FAILURE"):
        described = (event.get("failureMetadata") or {}).get("description")
        members["error"] = described or _innermost(event.get("error"))
    if kind == "LOGS_CAPTURED":
        members.update(steps=tuple(event.get("stepKeys") or ()), file=event.get("fileKey"))
    time = milliseconds(int(event["timestamp"]) / 1000) or 0.0
    return RunEvent(kind, time, step_key=event.get("stepKey"), message=event.get("message") or "", **members)


def _metadata(entries: Sequence[Answer]) -> dict[str, str | bool]:
    found: dict[str, str | bool] = {}
    for entry in entries:
        value = entry.get("text", entry.get("boolValue"))
        if isinstance(value, str | bool):
            found[entry["label"]] = value
    return found


def _innermost(error: Answer | None) -> str | None:
    if error is None:
        return None
    innermost = [error, *error.get("causes", ())][-1]
    return plain_message(innermost["message"], innermost.get("className"))


def _yaml(text: str | None) -> Any:
    try:
        return yaml.safe_load(text or "")
    except yaml.YAMLError:
        return None
