"""From the command line to a plan: finds the project, reads its workflow, and plans what was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from maestro.artifacts import ArtifactStore
from maestro.cli.options import GlobalOptions
from maestro.execution.expand import expanded
from maestro.execution.outputs import products_of
from maestro.execution.parameters import complete, parse_assignments
from maestro.execution.planner import Plan, make_plan
from maestro.execution.request import RunIdentity, RunRequest
from maestro.execution.session import RunSession
from maestro.profile import Profile, load_profile
from maestro.project import Project, Revision, checkout, current_revision, revision_of
from maestro.steps import Registry
from maestro.workflow.expressions import Expressions
from maestro.workflow.graph import Graph
from maestro.workflow.load import LoadedWorkflow, load_workflow


@dataclass(frozen=True, slots=True)
class Opened:
    """A project with its workflow read."""

    project: Project
    profile: Profile
    registry: Registry
    loaded: LoadedWorkflow

    @property
    def name(self) -> str:
        """The project's name."""
        return self.loaded.workflow.project or self.project.default_name()

    def current_revision(self) -> Revision:
        """The revision the checkout stands at."""
        return current_revision(self.project, products=products_of(self.loaded.workflow))


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for.

    Args:
        words: steps and stages; all when empty.
        only: without what they wait for.
        revision: None: the checkout as it is, worked in.
        params: values already known (a retry's); else ``assignments`` are read.
        earlier: ids of the runs it resumes, the nearest first.
    """

    words: Sequence[str] = ()
    only: bool = False
    assignments: Sequence[str] = ()
    revision: str | None = None
    base: str | None = None
    params: Mapping[str, Any] | None = None
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, and everything needed to run it."""

    opened: Opened
    asked: Asked
    graph: Graph
    revision: Revision
    params: Mapping[str, Any]
    session: RunSession
    plan: Plan


def find_project(options: GlobalOptions) -> Project:
    """The project the options name.

    Raises:
        InputError: there is none.
    """
    return Project.find(options.project, file=options.file)


def open_project(options: GlobalOptions) -> Opened:
    """The project the options name, with its workflow.

    Raises:
        InputError: there is none, or its workflow is wrong.
    """
    project = find_project(options)
    profile = load_profile(options.profile)
    registry = Registry()
    return Opened(project, profile, registry, load_workflow(project.workflow_file, registry=registry))


def open_store(project: Project, profile: Profile) -> ArtifactStore:
    """The artifact store of the profile."""
    return ArtifactStore.open(profile.settings.artifacts or str(project.ensure_home() / "artifacts"))


@contextmanager
def prepared(opened: Opened, asked: Asked) -> Iterator[Prepared]:
    """Plans what was asked for.

    Raises:
        InputError: a name, a parameter or a revision is wrong, or an expression fails.
    """
    workflow = opened.loaded.workflow
    given = parse_assignments(asked.assignments, workflow) if asked.params is None else asked.params
    params = complete(workflow, given)
    graph = expanded(opened.loaded, params, Expressions())
    with ExitStack() as stack:
        if asked.revision is None:
            revision, workspace = opened.current_revision(), opened.project.root
        else:
            revision = revision_of(opened.project, asked.revision)
            workspace = stack.enter_context(checkout(opened.project, revision))
        session = RunSession(
            project=opened.project,
            project_name=opened.name,
            loaded=opened.loaded,
            graph=graph,
            registry=opened.registry,
            revision=revision,
            workspace=workspace,
            identity=RunIdentity("plan", "plan", asked.earlier),
            request=RunRequest(params, base=asked.base),
            store=open_store(opened.project, opened.profile),
            environ=os.environ,
            profile=str(opened.profile.folder),
        )
        stack.callback(session.close)
        plan = make_plan(session, asked.words, only=asked.only)
        yield Prepared(opened, asked, graph, revision, params, session, plan)
