"""Makes the run of one revision on a server: planned in a checkout, created under an id that is known beforehand."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.storage.tags import PRIORITY_TAG

from maestro.execution.parameters import complete
from maestro.execution.planner import Plan, make_plan
from maestro.execution.request import RunIdentity, RunRequest
from maestro.execution.session import RunSession
from maestro.mirror import remove_worktree, worktree
from maestro.project import Revision, revision_of
from maestro.runs.tags import (
    ARRIVAL_TAG,
    AUTHOR_TAG,
    BASE_TAG,
    BRANCH_TAG,
    CHECKOUT_TAG,
    DELIVERY_TAG,
    EARLIER_TAG,
    GROUP_TAG,
    PARAMS_TAG,
    PARTITION_TAG,
    PLANNED_TAG,
    PROJECT_TAG,
    PULL_REQUEST_TAG,
    SUPERSEDES_TAG,
    TENANT_TAG,
    TRACE_TAG,
    UNTRUSTED_TAG,
    WORKFLOW_REVISION_TAG,
    WORKFLOW_TAG,
)
from maestro.server.projects import RegisteredProject
from maestro.triggers import group_of
from maestro.workflow.load import LoadedWorkflow
from maestro_defs.compiler import compile_workflow, job_name
from maestro_defs.local import Resumption, job_origin, selected
from maestro_defs.partitions import register_revision
from maestro_defs.server import Server
from maestro_defs.trust import made_here, run_id_of
from resources.delivery import Source


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A run somebody, or something, asks for.

    Args:
        delivery: provider and id of what asks, ``github:72d3162e-…``; with workflow and revision it makes the run's id.
        base: what ``changed(…)`` compares with, if that is known.
        workflow_sha: the commit whose workflow file is used.
        trusted: False: of somebody without write access.
        words: steps and stages; all when empty.
        arrival: position in the inbox of what asks; None: nothing there does.
    """

    delivery: str
    sha: str
    workflow_sha: str
    branch: str | None = None
    base: str | None = None
    trusted: bool = True
    pull_request: int | None = None
    author: str = ""
    trace: str = ""
    words: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    resumes: Resumption | None = None
    arrival: int | None = None


@dataclass(frozen=True, slots=True)
class MadeRun:
    """A run in Dagster's storage.

    Args:
        plan: None when the run was there already.
    """

    run: dg.DagsterRun
    plan: Plan | None


def make_run(
    server: Server,
    instance: dg.DagsterInstance,
    project: RegisteredProject,
    loaded: LoadedWorkflow,
    asked: AskedRun,
) -> MadeRun | None:
    """The run, made unless it is there already; None when the plan leaves nothing to do.

    The revision must be in the mirror.

    Raises:
        InputError: a parameter has no value, an expression fails, or a step finds nothing to work on.
    """
    run_id = run_id_of(asked.delivery, loaded.workflow.name, asked.sha)
    there = instance.get_run_by_id(run_id)
    if there is not None:
        return MadeRun(there, None)
    params = complete(loaded.workflow, asked.params)
    source = server.source(project, loaded, params)
    source.project.ensure_home()
    folder = Path(tempfile.mkdtemp(dir=server.home.worktrees, prefix=f"{asked.sha[:12]}-"))
    kept = False
    try:
        with ThreadPoolExecutor(2, thread_name_prefix="checkout") as beside:
            # Git's work and Dagster's, at the same time.
            checkout = beside.submit(
                worktree,
                server.mirror(project),
                asked.sha,
                folder,
                submodules=project.submodules,
                lfs=project.lfs,
                strange=not asked.trusted,
            )
            known = beside.submit(revision_of, source.project, asked.sha)
            definitions = compile_workflow(source)
            definitions.resolve_job_def(job_name(loaded.workflow.name))
            checkout.result()
            revision = replace(known.result(), branch=asked.branch)
        plan, group = _planned(source, revision, folder, params, asked, run_id)
        if not plan.selection:
            return None
        tags = _tags(project, loaded, asked, params, group) | {CHECKOUT_TAG: f"{os.uname().nodename} {folder}"}
        register_revision(instance, project.name, asked.sha)
        try:
            job = selected(source, definitions, plan.selection)
            run = _create(instance, job, project, run_id, params, tags, asked.resumes)
        except DagsterRunAlreadyExists:
            made_meanwhile = instance.get_run_by_id(run_id)
            if made_meanwhile is None:
                raise
            return MadeRun(made_meanwhile, None)
        kept = True
        return MadeRun(run, plan)
    finally:
        if not kept:
            remove_worktree(folder)


def checkout_of(run: dg.DagsterRun) -> Path | None:
    """The checkout made for ``run``, when it is on this machine and still there.

    Not one that the tags of another run name, from which they were copied: that one is, or was, at work in it.
    """
    host, _, folder = run.tags.get(CHECKOUT_TAG, "").partition(" ")
    path = Path(folder) if folder and host == os.uname().nodename else None
    if path is None or not (made_here(run) or path.name.endswith(f"-{run.run_id}")):
        return None
    return path if path.is_dir() else None


def _planned(
    source: Source, revision: Revision, folder: Path, params: Mapping[str, Any], asked: AskedRun, run_id: str
) -> tuple[Plan, str | None]:
    session = RunSession(
        project=source.project,
        project_name=source.project_name,
        loaded=source.loaded,
        graph=source.graph,
        registry=source.registry,
        revision=revision,
        workspace=folder,
        identity=RunIdentity(
            run_id,
            run_id,
            asked.resumes.earlier if asked.resumes else (),
            tenant=source.tenant,
            pull_request=asked.pull_request,
        ),
        request=RunRequest(params, base=asked.base, untrusted=not asked.trusted),
        store=source.open_store(),
        environ=os.environ,
        profile=str(source.profile.folder),
    )
    try:
        group = group_of(
            source.loaded.workflow.concurrency,
            git=session.git,
            params=params,
            project=source.project_name,
            pull_request=asked.pull_request,
        )
        return make_plan(session, asked.words), group
    finally:
        session.close()


def _create(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    project: RegisteredProject,
    run_id: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    resumes: Resumption | None,
) -> dg.DagsterRun:
    declared = {name: value for name, value in params.items() if value is not None}
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if declared:
        config["resources"] = {"params": {"config": declared}}
    return instance.create_run_for_job(
        job_def=job,
        run_id=run_id,
        run_config=config,
        tags=dict(tags),
        asset_selection=job.asset_selection,
        root_run_id=resumes.root_run_id if resumes else None,
        parent_run_id=resumes.earlier[0] if resumes else None,
        remote_job_origin=job_origin(job.name, project.name),
        job_code_origin=_code_origin(job.name),
    )


def _code_origin(job: str) -> JobPythonOrigin:
    """Dagster wants one of every run it submits; a worker goes by the run's tags instead."""
    pointer = ModuleCodePointer("maestro_defs.definitions", "defs", None)
    return JobPythonOrigin(job, RepositoryPythonOrigin(sys.executable, pointer))


def _tags(
    project: RegisteredProject,
    loaded: LoadedWorkflow,
    asked: AskedRun,
    params: Mapping[str, Any],
    group: str | None,
) -> dict[str, str]:
    concurrency = loaded.workflow.concurrency
    resumes = asked.resumes
    wanted = {
        PROJECT_TAG: project.name,
        TENANT_TAG: project.tenant,
        WORKFLOW_TAG: loaded.workflow.name,
        PARTITION_TAG: asked.sha,
        PLANNED_TAG: "true",
        PARAMS_TAG: json.dumps(dict(params)),
        DELIVERY_TAG: asked.delivery,
        ARRIVAL_TAG: None if asked.arrival is None else str(asked.arrival),
        BRANCH_TAG: asked.branch,
        BASE_TAG: asked.base,
        PULL_REQUEST_TAG: None if asked.pull_request is None else str(asked.pull_request),
        AUTHOR_TAG: asked.author,
        TRACE_TAG: asked.trace,
        GROUP_TAG: group,
        SUPERSEDES_TAG: "true" if group and concurrency is not None and concurrency.cancel_superseded else None,
        PRIORITY_TAG: str(concurrency.priority) if concurrency is not None and concurrency.priority else None,
        WORKFLOW_REVISION_TAG: asked.workflow_sha if asked.workflow_sha != asked.sha else None,
        UNTRUSTED_TAG: None if asked.trusted else "true",
        EARLIER_TAG: ",".join(resumes.earlier) if resumes else None,
    }
    return {name: value for name, value in wanted.items() if value}
