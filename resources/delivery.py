"""Where a code location's workflow comes from, and the session of each run of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData
from dagster_shared.error import SerializableErrorInfo

from maestro.artifacts import ArtifactStore
from maestro.errors import InputError
from maestro.execution.expand import expanded
from maestro.execution.open_desk import open_desk
from maestro.execution.request import LOCAL_TENANT, Bounds, RunIdentity, RunRequest
from maestro.execution.session import RunSession
from maestro.profile import Profile
from maestro.project import Project, Revision, checkout, revision_of
from maestro.runs.fold import EVIDENCE
from maestro.runs.process import is_of_this_process
from maestro.runs.tags import (
    ASSUME_DONE_TAG,
    AUTHOR_TAG,
    BASE_TAG,
    BRANCH_TAG,
    EARLIER_TAG,
    LOCAL_TAG,
    PARTITION_TAG,
    PLANNED_TAG,
    PULL_REQUEST_TAG,
    REDO_TAG,
    UNTRUSTED_TAG,
    WORKSPACE_TAG,
)
from maestro.steps import Registry
from maestro.workflow.expressions import Expressions
from maestro.workflow.graph import Graph
from maestro.workflow.load import LoadedWorkflow, load_workflow

PARAMS = "params"
SESSION = "session"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A revision and the folder it is checked out in."""

    revision: Revision
    workspace: Path


def not_tagged(run: dg.DagsterRun, _instance: dg.DagsterInstance) -> bool:
    """Trusts every run whose tags do not say otherwise."""
    return UNTRUSTED_TAG not in run.tags


@dataclass(frozen=True)
class Source:
    """One workflow of one project, ready to be compiled.

    Args:
        graph: expanded with the parameters' defaults, or with those of the run it is compiled for.
        in_place: run id -> the person's own checkout, for runs that work in it.
        cached: run id -> names of the steps its plan found in the cache.
        trusts: whether a run is trusted.
        bounds: what the steps of untrusted runs get at most.
        checked_out: makes a checkout of a revision, given whether the run is trusted; None: as a worktree of the
            project's repository.
        tenant: whom runs are charged to.
    """

    project: Project
    project_name: str
    profile: Profile
    loaded: LoadedWorkflow
    graph: Graph
    registry: Registry
    in_place: dict[str, Checkout] = field(default_factory=dict)
    cached: dict[str, frozenset[str]] = field(default_factory=dict)
    trusts: Callable[[dg.DagsterRun, dg.DagsterInstance], bool] = not_tagged
    bounds: Bounds = field(default_factory=Bounds)
    checked_out: Callable[[Revision, bool], AbstractContextManager[Path]] | None = None
    tenant: str = LOCAL_TENANT

    @classmethod
    def load(
        cls,
        project: Project,
        profile: Profile,
        *,
        registry: Registry | None = None,
        loaded: LoadedWorkflow | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Source:
        """Reads the project's workflow file, unless it is given.

        Raises:
            InputError: it is wrong.
        """
        registry = registry or Registry()
        loaded = loaded or load_workflow(project.workflow_file, registry=registry)
        if params is None:
            params = {name: one.default for name, one in loaded.workflow.params.items()}
        graph = expanded(loaded, params, Expressions())
        name = loaded.workflow.project or project.default_name()
        return cls(project, name, profile, loaded, graph, registry)

    def open_store(self) -> ArtifactStore:
        """The artifact store of the profile."""
        url = self.profile.settings.artifacts
        return ArtifactStore.open(url or str(self.project.ensure_home() / "artifacts"))

    @contextmanager
    def session(
        self, run: dg.DagsterRun, params: Mapping[str, Any], instance: dg.DagsterInstance, *, ending: bool = False
    ) -> Iterator[RunSession]:
        """The session of ``run``: in the person's checkout when it was started there, else in one of its own.

        Args:
            instance: told when what the run has logged does not get into the vault, unless that was said before.
            ending: it only undoes and finishes what was begun, which no quota refuses.

        Raises:
            BudgetExceededError: the project has no runs, minutes or gigabytes left.
        """
        with ExitStack() as stack:
            trusted = self.trusts(run, instance)
            here = self.in_place.get(run.run_id)
            if here is None:
                revision = revision_of(self.project, revision_of_run(run))
                if BRANCH_TAG in run.tags:
                    revision = replace(revision, branch=run.tags[BRANCH_TAG])
                here = Checkout(revision, self._workspace(run) or stack.enter_context(self._made(revision, trusted)))
            store = self.open_store()
            session = RunSession(
                project=self.project,
                project_name=self.project_name,
                loaded=self.loaded,
                graph=self.graph,
                registry=self.registry,
                revision=here.revision,
                workspace=here.workspace,
                identity=_identity(run, instance, trusted, self.tenant),
                request=self._request(run, params, trusted),
                store=store,
                environ=os.environ,
                open_desk=lambda: open_desk(self.project, self.project_name, self.profile, store, os.environ),
            )
            stack.callback(_seal, session, run, instance)
            stack.callback(session.close)
            session.quotas.begin(refuse=not ending)
            stack.callback(_count, session, run, instance)
            yield session

    def _made(self, revision: Revision, trusted: bool) -> AbstractContextManager[Path]:
        return self.checked_out(revision, trusted) if self.checked_out else checkout(self.project, revision)

    @staticmethod
    def _workspace(run: dg.DagsterRun) -> Path | None:
        """The person's checkout, for a step's own process of a run that works in it.

        Dagster copies a run's tags when the run is executed again; the checkout will not be that revision then.
        """
        folder = run.tags.get(WORKSPACE_TAG)
        return Path(folder) if folder and is_of_this_process(run.tags.get(LOCAL_TAG)) else None

    def _request(self, run: dg.DagsterRun, params: Mapping[str, Any], trusted: bool) -> RunRequest:
        for name, parameter in self.loaded.workflow.params.items():
            if parameter.required and params.get(name) is None:
                raise InputError(
                    f"parameter '{name}' has no value and no default",
                    next_step=f"set resources.params.config.{name} of the run",
                )
        return RunRequest(
            params=dict(params),
            base=run.tags.get(BASE_TAG),
            planned=PLANNED_TAG in run.tags,
            redo=_names(run, REDO_TAG),
            assume_done=_names(run, ASSUME_DONE_TAG),
            cached=self.cached.get(run.run_id, frozenset()),
            untrusted=not trusted,
            bounds=self.bounds,
        )


def revision_of_run(run: dg.DagsterRun) -> str:
    """The revision a run is about.

    Raises:
        InputError: it has none, or a range of them.
    """
    revision = run.tags.get(PARTITION_TAG)
    if not revision:
        raise InputError(
            f"run {run.run_id} names no revision, or several",
            next_step="materialize one revision (partition) a run; a backfill starts one run for each",
        )
    return revision


def session_resource(source: Source) -> dg.ResourceDefinition:
    """What the steps of a run share, made when the run starts and closed when it ends."""

    @dg.resource(required_resource_keys={PARAMS}, description="Checkout, stores and processes of the run.")
    def session(context: dg.InitResourceContext) -> Iterator[RunSession]:
        run = context.run
        if run is None:
            raise InputError("a step runs only as part of a run", next_step="materialize it with a revision")
        values = getattr(context.resources, PARAMS).values()
        instance = context.instance
        if instance is None:
            raise InputError("a step runs only on a Dagster instance", next_step="start it with `maestro run`")
        with source.session(run, values, instance) as opened:
            yield opened

    return session


def unpublished(problem: str) -> tuple[str, EngineEventData]:
    """Message and data of the event that says what of a run's evidence is not where it belongs."""
    return f"{EVIDENCE}{problem}", EngineEventData(error=SerializableErrorInfo(problem, [], None))


def _count(session: RunSession, run: dg.DagsterRun, instance: dg.DagsterInstance) -> None:
    problem = session.quotas.end()
    if problem is not None:
        message, data = unpublished(problem)
        instance.report_engine_event(message, run, data)


def _seal(session: RunSession, run: dg.DagsterRun, instance: dg.DagsterInstance) -> None:
    problem = session.seal()
    if problem is not None:
        message, data = unpublished(problem)
        instance.report_engine_event(message, run, data)


def _identity(run: dg.DagsterRun, instance: dg.DagsterInstance, trusted: bool, tenant: str) -> RunIdentity:
    earlier = tuple(one for one in run.tags.get(EARLIER_TAG, "").split(",") if one)
    if not earlier and run.parent_run_id:
        earlier = (run.parent_run_id,)
    if trusted:
        # What an untrusted run has left behind is no beginning for a trusted one.
        earlier = tuple(one for one in earlier if not _was_untrusted(instance, one))
    number = run.tags.get(PULL_REQUEST_TAG, "")
    return RunIdentity(
        run.run_id,
        run.root_run_id or run.run_id,
        earlier,
        tenant=tenant,
        pull_request=int(number) if number.isdecimal() else None,
        actor=run.tags.get(AUTHOR_TAG, ""),
    )


def _was_untrusted(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and UNTRUSTED_TAG in run.tags


def _names(run: dg.DagsterRun, tag: str) -> frozenset[str]:
    return frozenset(one for one in run.tags.get(tag, "").split(",") if one)
