"""What is read of a run, wherever it is read from: its record and its events, without Dagster's own types."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from maestro.runs.tags import (
    EARLIER_TAG,
    LOCAL_TAG,
    PARAMS_TAG,
    PARTITION_TAG,
    PROCESS_TAG,
    PROJECT_TAG,
    WORKFLOW_TAG,
)
from maestro.runs.view import RunState

AD_HOC_JOB = "__ASSET_JOB"
"""Dagster's job of assets that were materialized by hand."""

_SERVER_TAG = ".dagster/grpc_info"
_WITH_PROCESS = frozenset({"NOT_STARTED", "STARTED", "CANCELING"})

LogKey: TypeAlias = tuple[str, ...]

_STATES: dict[str, RunState] = {
    "STARTED": "running",
    "MANAGED": "running",
    "CANCELING": "cancelling",
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "CANCELED": "cancelled",
}


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One event of a run.

    Args:
        kind: Dagster's name of its type, with ``RUN_`` where older names have ``PIPELINE_``.
        time: Unix seconds, whole milliseconds.
        asset: key of the asset it is about.
        passed: whether the asset check passed.
        blocking: False when the failed check only warns.
        metadata: its texts and booleans.
        error: the message of the innermost error, when there is one.
        steps: the steps whose log it names.
        file: name of that log.
    """

    kind: str
    time: float
    step_key: str | None = None
    message: str = ""
    asset: tuple[str, ...] = ()
    passed: bool = True
    blocking: bool = True
    metadata: Mapping[str, str | bool] = field(default_factory=dict)
    error: str | None = None
    steps: tuple[str, ...] = ()
    file: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is kept of a run beside its events.

    Args:
        project: of its tag, or of its assets.
        params: every parameter's value, None when unknown.
        process: mark of the process that carries it out, while there should be one.
        foreground: True when that process is a ``maestro run``, not one that a server started.
    """

    run_id: str
    root_run_id: str
    project: str
    workflow: str
    state: RunState
    tags: Mapping[str, str]
    created: float | None
    started: float | None
    ended: float | None
    params: Mapping[str, Any] | None
    process: str | None = None
    foreground: bool = False

    @property
    def revision(self) -> str:
        """The revision it is about; empty when it names none."""
        return self.tags.get(PARTITION_TAG, "")

    @property
    def earlier(self) -> tuple[str, ...]:
        """Ids of the runs it resumes, the nearest first."""
        return tuple(one for one in self.tags.get(EARLIER_TAG, "").split(",") if one)


def run_record(
    *,
    run_id: str,
    root_run_id: str | None,
    parent_run_id: str | None,
    job: str,
    status: str,
    tags: Mapping[str, str],
    assets: Sequence[Sequence[str]],
    config: Any,
    times: tuple[float | None, float | None, float | None],
) -> RunRecord:
    """The record of a run, from what Dagster knows of it.

    Args:
        status: Dagster's name of it.
        assets: keys of the assets it was launched for.
        config: its run configuration.
        times: created, started, ended; Unix seconds.
    """
    project = tags.get(PROJECT_TAG) or (assets[0][0] if assets and assets[0] else "")
    workflow = tags.get(WORKFLOW_TAG) or ("ad hoc" if job.startswith(AD_HOC_JOB) else job)
    known = dict(tags)
    if parent_run_id:
        known.setdefault(EARLIER_TAG, parent_run_id)
    created, started, ended = times
    return RunRecord(
        run_id=run_id,
        root_run_id=root_run_id or run_id,
        project=project,
        workflow=workflow,
        state=_STATES.get(status, "queued"),
        tags=known,
        created=milliseconds(created),
        started=milliseconds(started),
        ended=milliseconds(ended),
        params=_params(tags, config),
        process=tags.get(PROCESS_TAG) if status in _WITH_PROCESS else None,
        # Dagster copies the tags when a run is executed again, and adds its own when a server starts it.
        foreground=LOCAL_TAG in tags and tags.get(PROCESS_TAG) == tags[LOCAL_TAG] and _SERVER_TAG not in tags,
    )


def milliseconds(seconds: float | None) -> float | None:
    """Seconds cut to whole milliseconds, all that Dagster's web server tells."""
    return None if seconds is None else int(seconds * 1000) / 1000


def plain_message(message: str, class_name: str | None) -> str:
    """An error's message without the name of its class, which Dagster puts in front."""
    first, separator, rest = message.strip().partition(": ")
    if separator and class_name and first.rsplit(".", 1)[-1] == class_name:
        return rest.strip()
    return message.strip()


def _params(tags: Mapping[str, str], config: Any) -> Mapping[str, Any] | None:
    try:
        found = json.loads(tags[PARAMS_TAG])
    except (KeyError, ValueError):
        found = config
        for name in ("resources", "params", "config"):
            found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


class Watch(Protocol):
    """The events of one run as they come."""

    def news(self, seconds: float) -> list[RunEvent]:
        """The next events; waits up to ``seconds`` for one."""
        ...


class Reader(Protocol):
    """Where runs are read from."""

    def recent(self, limit: int) -> list[RunRecord]:
        """The project's newest runs, newest first."""
        ...

    def record(self, run_id: str) -> RunRecord | None:
        """The run of that id."""
        ...

    def ids(self) -> Iterator[str]:
        """Ids of all runs, newest first."""
        ...

    def events(self, run_id: str) -> Iterator[RunEvent]:
        """What has happened in a run so far."""
        ...

    def watch(self, run_id: str) -> AbstractContextManager[Watch]:
        """What has happened and what happens."""
        ...

    def logs(self, offsets: Mapping[LogKey, int]) -> dict[LogKey, tuple[bytes, int]]:
        """The next part of each log from the byte given with it, and the byte after it; what has none is left out."""
        ...
