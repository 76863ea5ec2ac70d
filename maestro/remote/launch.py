"""Starts a run on the server, once, whatever happens to the answer."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from maestro.errors import InputError, MaestroError
from maestro.remote import errors, queries
from maestro.remote.graphql import GraphQL
from maestro.remote.workspace import Place, find_place
from maestro.runs.client import LaunchRequest
from maestro.runs.event import RunRecord
from maestro.runs.tags import (
    ASSUME_DONE_TAG,
    BASE_TAG,
    EARLIER_TAG,
    LAUNCH_TAG,
    PARAMS_TAG,
    PARTITION_TAG,
    PLANNED_TAG,
    PROJECT_TAG,
    REDO_TAG,
    WORKFLOW_TAG,
)

LOOK_SECONDS = 10.0
_POLL_SECONDS = 0.5


class Records(Protocol):
    """Finds runs by a tag."""

    def with_tag(self, name: str, value: str) -> list[RunRecord]:
        """Runs with a tag, newest first."""
        ...


def launch(
    graphql: GraphQL, records: Records, request: LaunchRequest, resumed: RunRecord | None, *, look: float = LOOK_SECONDS
) -> str:
    """Starts a run; its id.

    Args:
        resumed: the record of ``request.resumes``.
        look: seconds to look for the run of a launch whose answer got lost.

    Raises:
        InputError: the server cannot run this.
        MaestroError: the server cannot be used.
    """
    if request.revision.startswith("worktree-"):
        raise InputError(
            "the server cannot see uncommitted changes",
            next_step="commit and push them first, or run here without --remote",
        )
    place = find_place(graphql, request.project, request.workflow)
    _check_selection(graphql.server, place, request.selection)
    _add_revision(graphql, place, request.revision)
    mark = str(uuid.uuid4())
    return _launch_once(graphql, records, _execution(place, request, resumed, mark), mark, look)


def _check_selection(server: str, place: Place, selection: Sequence[str]) -> None:
    if not selection:
        raise InputError("there is nothing to run", next_step="select at least one step")
    unknown = sorted(set(selection) - place.steps)
    if unknown:
        raise InputError(
            f"{server} has not loaded this workflow as it is here: it has no step {', '.join(unknown[:5])}",
            next_step="reload the code location on the server (Deployment, Reload), or check out its revision",
        )


def _add_revision(graphql: GraphQL, place: Place, revision: str) -> None:
    # Adding it twice is no harm, so this may be tried again.
    answer = graphql.read(
        queries.ADD_REVISION, name=f"{place.project}_revisions", key=revision, repository=place.selector
    )
    if answer["__typename"] not in ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError"):
        raise errors.of_answer(answer, graphql.server)


def _execution(place: Place, request: LaunchRequest, resumed: RunRecord | None, mark: str) -> dict[str, Any]:
    values = {name: value for name, value in request.params.items() if value is not None}
    metadata: dict[str, Any] = {"tags": _tags(place, request, resumed, mark)}
    if resumed is not None:
        metadata |= {"parentRunId": resumed.run_id, "rootRunId": resumed.root_run_id}
    return {
        "selector": {
            **place.selector,
            "jobName": place.job,
            "assetSelection": [{"path": [place.project, *name.split("/")]} for name in request.selection],
        },
        "runConfigData": {"resources": {"params": {"config": values}}} if values else {},
        "executionMetadata": metadata,
    }


def _tags(place: Place, request: LaunchRequest, resumed: RunRecord | None, mark: str) -> list[dict[str, str]]:
    tags = {
        PROJECT_TAG: place.project,
        WORKFLOW_TAG: request.workflow,
        PARTITION_TAG: request.revision,
        PLANNED_TAG: "true",
        PARAMS_TAG: json.dumps(dict(request.params)),
        LAUNCH_TAG: mark,
    }
    if request.base:
        tags[BASE_TAG] = request.base
    if resumed is not None:
        tags[EARLIER_TAG] = ",".join([resumed.run_id, *resumed.earlier])
    if request.redo:
        tags[REDO_TAG] = ",".join(request.redo)
    if request.assume_done:
        tags[ASSUME_DONE_TAG] = ",".join(request.assume_done)
    return [{"key": key, "value": value} for key, value in tags.items()]


def _launch_once(graphql: GraphQL, records: Records, params: dict[str, Any], mark: str, look: float) -> str:
    try:
        answer = graphql.once(queries.LAUNCH, params=params)
    except errors.AnswerLostError as lost:
        found = _look_for(lambda: records.with_tag(LAUNCH_TAG, mark), look)
        if found:
            return found[-1].run_id
        raise MaestroError(
            f"{lost.what}; no run was started as far as the server tells",
            next_step="look at `maestro status --remote` before you start it again",
        ) from lost
    if answer["__typename"] != "LaunchRunSuccess":
        raise errors.of_answer(answer, graphql.server)
    return str(answer["run"]["runId"])


def _look_for(find: Callable[[], list[RunRecord]], seconds: float) -> list[RunRecord]:
    deadline = time.monotonic() + seconds
    while True:
        found = find()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(_POLL_SECONDS)
