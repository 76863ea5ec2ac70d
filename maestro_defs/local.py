"""Runs a planned workflow in this process, on the project's own Dagster instance."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import psutil
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from maestro_defs.compiler import asset_key, compile_workflow, job_name
from maestro_defs.connections import kept_connections
from maestro_defs.instance import open_instance
from maestro_defs.partitions import PARTITION_TAG, register_revision
from maestro_defs.run_end import LOCAL_TAG
from maestro_defs.source import (
    ASSUME_DONE_TAG,
    BASE_TAG,
    EARLIER_TAG,
    PLANNED_TAG,
    REDO_TAG,
    Checkout,
    Source,
)

LOCATION = "maestro"
PARAMS_TAG = "maestro/params"
PROCESS_TAG = "maestro/process"
SELECT_TAG = "maestro/selection"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Resumption:
    """The run a new one resumes.

    Args:
        earlier: ids of the runs resumed, the nearest first.
        root_run_id: of the first of them.
    """

    earlier: tuple[str, ...]
    root_run_id: str


@dataclass(frozen=True, slots=True)
class LocalRequest:
    """A run to be made on this machine.

    Args:
        selection: names of the nodes to launch, as planned.
        here: the person's checkout when the run works in it; None: a checkout of its own is made.
    """

    revision: str
    selection: Sequence[str]
    params: Mapping[str, Any]
    here: Checkout | None = None
    base: str | None = None
    resumes: Resumption | None = None
    redo: Sequence[str] = ()
    assume_done: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass
class LocalRun:
    """A run being carried out; iterate ``events`` to its end."""

    run_id: str
    events: Iterator[dg.DagsterEvent]
    instance: dg.DagsterInstance

    @property
    def status(self) -> dg.DagsterRunStatus:
        """Its status as it stands in the instance."""
        run = self.instance.get_run_by_id(self.run_id)
        assert run is not None
        return run.status


@contextmanager
def start_run(source: Source, request: LocalRequest) -> Iterator[LocalRun]:
    """Makes a run; its steps are carried out while its events are taken.

    Raises:
        MaestroError: Dagster's storage cannot be used.
    """
    definitions = compile_workflow(source)
    job = definitions.resolve_job_def(job_name(source.loaded.workflow.name))
    if set(request.selection) != set(source.graph.nodes):
        chosen = {asset_key(source.project_name, name) for name in request.selection}
        checks = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.asset_key in chosen}
        job = job.get_subset(asset_selection=chosen, asset_check_selection=checks)
    with open_instance(source.project, source.profile) as instance, kept_connections(instance):
        register_revision(instance, source.project_name, request.revision)
        resumes = request.resumes
        run = instance.create_run_for_job(
            job_def=job,
            run_config=_run_config(source, request),
            tags=_tags(source, request),
            asset_selection=job.asset_selection,
            root_run_id=resumes.root_run_id if resumes else None,
            parent_run_id=resumes.earlier[0] if resumes else None,
            remote_job_origin=_origin(job.name),
        )
        if request.here is not None:
            source.in_place[run.run_id] = request.here
        yield LocalRun(run.run_id, execute_run_iterator(InMemoryJob(job), run, instance), instance)


def _run_config(source: Source, request: LocalRequest) -> dict[str, Any]:
    declared = {name: value for name, value in request.params.items() if value is not None}
    resources = {"resources": {"params": {"config": declared}}} if declared else {}
    return {**_QUIET, **resources}


def _tags(source: Source, request: LocalRequest) -> dict[str, str]:
    tags = {
        **request.tags,
        PARTITION_TAG: request.revision,
        LOCAL_TAG: "true",
        PLANNED_TAG: "true",
        PROCESS_TAG: process_mark(),
        PARAMS_TAG: json.dumps(dict(request.params)),
    }
    if request.base:
        tags[BASE_TAG] = request.base
    if request.resumes:
        tags[EARLIER_TAG] = ",".join(request.resumes.earlier)
    if request.redo:
        tags[REDO_TAG] = ",".join(request.redo)
    if request.assume_done:
        tags[ASSUME_DONE_TAG] = ",".join(request.assume_done)
    return tags


def process_mark() -> str:
    """Names this process so that it can be found again: host, process id, and when it started."""
    return f"{os.uname().nodename} {os.getpid()} {psutil.Process().create_time():.2f}"


def process_of(mark: str) -> psutil.Process | None:
    """The process ``mark`` names, when it is alive and on this machine.

    Raises:
        ValueError: it is of another machine.
    """
    host, pid, created = mark.rsplit(" ", 2)
    if host != os.uname().nodename:
        raise ValueError(host)
    try:
        process = psutil.Process(int(pid))
        alive = abs(process.create_time() - float(created)) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if alive else None


def _origin(job: str) -> RemoteJobOrigin:
    """Lets the UI know which code location the run belongs to."""
    return RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), "__repository__"), job)
