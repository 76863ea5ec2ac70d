"""Runs a planned workflow in this process, on the project's own Dagster instance."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from maestro.process.shared import guard_prepared
from maestro.runs.process import process_mark
from maestro.runs.tags import (
    ASSUME_DONE_TAG,
    BASE_TAG,
    EARLIER_TAG,
    LOCAL_TAG,
    PARAMS_TAG,
    PARTITION_TAG,
    PLANNED_TAG,
    PROCESS_TAG,
    PROJECT_TAG,
    REDO_TAG,
    WORKFLOW_TAG,
    WORKSPACE_TAG,
)
from maestro_defs.compiler import asset_key, compile_workflow, in_job, job_name
from maestro_defs.connections import kept_connections, written_together
from maestro_defs.instance import open_instance
from maestro_defs.late_end import claim_end, end_late
from maestro_defs.partitions import register_revision
from resources.delivery import Checkout, Source

LOCATION = "maestro"
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
        cached: names of those nodes whose results the planner found in the cache.
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
    cached: Sequence[str] = ()


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
    with ExitStack() as stack:
        if source.profile.settings.executor == "maestro" and set(request.selection) - set(request.cached):
            stack.enter_context(guard_prepared())
        job = selected(source, compile_workflow(source), request.selection)
        instance = stack.enter_context(open_instance(source.project, source.profile))
        stack.enter_context(kept_connections(instance))
        register_revision(instance, source.project_name, request.revision)
        resumes = request.resumes
        if resumes:
            claim_end(source, resumes.earlier[0], "resume")
        with written_together(instance):  # Two events for every step are planned.
            run = instance.create_run_for_job(
                job_def=job,
                run_config=_run_config(source, request),
                tags=_tags(source, request),
                asset_selection=job.asset_selection,
                root_run_id=resumes.root_run_id if resumes else None,
                parent_run_id=resumes.earlier[0] if resumes else None,
                remote_job_origin=job_origin(job.name),
            )
        if request.here is not None:
            source.in_place[run.run_id] = request.here
        source.cached[run.run_id] = frozenset(request.cached)
        yield LocalRun(run.run_id, execute_run_iterator(_executable(source, job), run, instance), instance)
        if source.profile.settings.executor != "maestro":
            ended = instance.get_run_by_id(run.run_id)
            if ended is not None:
                end_late(source, instance, ended)


def selected(source: Source, definitions: dg.Definitions, selection: Collection[str]) -> dg.JobDefinition:
    """The workflow's job, of the nodes ``selection`` names and their checks."""
    job = definitions.resolve_job_def(job_name(source.loaded.workflow.name))
    wanted = set(selection) & set(in_job(source))
    if wanted == set(in_job(source)):
        return job
    chosen = {asset_key(source.project_name, name) for name in wanted}
    checks = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.asset_key in chosen}
    return job.get_subset(asset_selection=chosen, asset_check_selection=checks)


def _executable(source: Source, job: dg.JobDefinition) -> InMemoryJob | ReconstructableJob:
    """The job as its executor needs it: Dagster's multiprocess executor loads it anew in each step's process."""
    if source.profile.settings.executor != "multiprocess":
        return InMemoryJob(job)
    os.environ["MAESTRO_PROJECT"] = str(source.project.root)
    os.environ["MAESTRO_PROFILE"] = str(source.profile.folder)
    pointer = ModuleCodePointer("maestro_defs.definitions", "defs", str(source.project.root))
    return ReconstructableJob(
        ReconstructableRepository(pointer),
        job.name,
        asset_selection=job.asset_selection,
        asset_check_selection=job.asset_check_selection,
    )


def _run_config(source: Source, request: LocalRequest) -> dict[str, Any]:
    declared = {name: value for name, value in request.params.items() if value is not None}
    resources = {"resources": {"params": {"config": declared}}} if declared else {}
    return {**_QUIET, **resources}


def _tags(source: Source, request: LocalRequest) -> dict[str, str]:
    tags = {
        **request.tags,
        PROJECT_TAG: source.project_name,
        WORKFLOW_TAG: source.loaded.workflow.name,
        PARTITION_TAG: request.revision,
        LOCAL_TAG: process_mark(),
        PLANNED_TAG: "true",
        PROCESS_TAG: process_mark(),
        PARAMS_TAG: json.dumps(dict(request.params)),
    }
    if request.here is not None:
        tags[WORKSPACE_TAG] = str(request.here.workspace)
    if request.base:
        tags[BASE_TAG] = request.base
    if request.resumes:
        tags[EARLIER_TAG] = ",".join(request.resumes.earlier)
    if request.redo:
        tags[REDO_TAG] = ",".join(request.redo)
    if request.assume_done:
        tags[ASSUME_DONE_TAG] = ",".join(request.assume_done)
    return tags


def job_origin(job: str, location: str = LOCATION) -> RemoteJobOrigin:
    """Lets the UI know which code location the run belongs to."""
    return RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__"), job)
