"""A small repository with a workflow, and runs of it, as the command line makes them."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster import DagsterEvent, DagsterInstance, DagsterRunStatus

from maestro.artifacts import ArtifactStore, RecordStore, StepRecord
from maestro.execution.expand import expanded
from maestro.execution.outputs import products_of
from maestro.execution.parameters import complete
from maestro.execution.planner import Plan, make_plan
from maestro.execution.request import RunIdentity, RunRequest
from maestro.execution.session import RunSession
from maestro.profile import Profile, load_profile
from maestro.project import Project, current_revision
from maestro.steps import Registry
from maestro.workflow.expressions import Expressions
from maestro.workflow.load import LoadedWorkflow, load_workflow
from maestro_defs.instance import open_instance
from maestro_defs.local import LocalRequest, Resumption, start_run
from maestro_defs.step_logs import StepLogs
from resources.delivery import Checkout, Source

IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


@dataclass(frozen=True)
class Finished:
    """A run that has ended."""

    run_id: str
    status: DagsterRunStatus
    events: list[DagsterEvent]
    records: dict[str, StepRecord]
    logs: dict[str, str]
    plan: Plan

    @property
    def passed(self) -> bool:
        return self.status == DagsterRunStatus.SUCCESS

    def types(self, step_key: str) -> list[str]:
        return [event.event_type_value for event in self.events if event.step_key == step_key]

    def messages(self) -> str:
        return "\n".join(event.message or "" for event in self.events)

    def failures(self) -> str:
        found = []
        for event in self.events:
            if event.event_type_value == "PIPELINE_FAILURE":
                found.append(str(event.event_specific_data))
            if event.is_step_failure:
                data = event.step_failure_data
                found.append((data.error.to_string() if data.error else "") + str(data.user_failure_data))
        return "\n".join(found)


@dataclass
class Delivery:
    """A repository under test."""

    root: Path
    profile: Profile = field(default_factory=load_profile)
    make_registry: Callable[[], Registry] = Registry

    @property
    def project(self) -> Project:
        return Project.find(self.root, environ={})

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **IDENTITY},
        )
        return done.stdout.strip()

    def write(self, files: Mapping[str, str], *, commit: bool = True) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        if commit:
            self.git("add", "-A")
            self.git("commit", "-q", "-m", "change", "--allow-empty")

    def workflow(self, text: str, *, commit: bool = True) -> None:
        self.write({"maestro.yaml": text}, commit=commit)

    def load(self) -> LoadedWorkflow:
        return load_workflow(self.project.workflow_file, registry=self.make_registry())

    @contextmanager
    def session(
        self, given: Mapping[str, Any] | None = None, base: str | None = None, *, profile: str | None = None
    ) -> Iterator[RunSession]:
        project, loaded, registry = self.project, self.load(), self.make_registry()
        params = complete(loaded.workflow, given or {})
        session = RunSession(
            project=project,
            project_name=loaded.workflow.project or project.default_name(),
            loaded=loaded,
            graph=expanded(loaded, params, Expressions()),
            registry=registry,
            revision=current_revision(project, products=products_of(loaded.workflow)),
            workspace=project.root,
            identity=RunIdentity("plan", "plan"),
            request=RunRequest(params, base=base),
            store=self.store(),
            environ=os.environ,
            profile=profile,
        )
        try:
            yield session
        finally:
            session.close()

    def store(self) -> ArtifactStore:
        return ArtifactStore.open(str(self.project.ensure_home() / "artifacts"))

    def plan(self, *words: str, only: bool = False, base: str | None = None, **given: Any) -> Plan:
        with self.session(given, base) as session:
            return make_plan(session, words, only=only)

    def run(
        self,
        *words: str,
        only: bool = False,
        resumes: Resumption | None = None,
        selection: Sequence[str] | None = None,
        redo: Sequence[str] = (),
        assume_done: Sequence[str] = (),
        in_place: bool = True,
        tags: Mapping[str, str] | None = None,
        cached: Sequence[str] | None = None,
        **given: Any,
    ) -> Finished:
        with self.session(given) as session:
            plan = make_plan(session, words, only=only)
            source = Source(
                session.project, session.project_name, self.profile, session.loaded, session.graph, session.registry
            )
            here = Checkout(session.revision, session.project.root) if in_place else None
        request = LocalRequest(
            plan.revision,
            selection or plan.selection,
            plan.params,
            here,
            resumes=resumes,
            redo=redo,
            assume_done=assume_done,
            tags=tags or {},
            cached=plan.cached if cached is None else cached,
        )
        status: DagsterRunStatus
        with start_run(source, request) as run:
            events = list(run.events)
            status, run_id = run.status, run.run_id
            logs = {}
            step_logs = StepLogs(run.instance, run_id)
            for event in events:
                if event.event_type_value == "LOGS_CAPTURED":
                    for key in event.logs_captured_data.step_keys or []:
                        path = step_logs.path(key)
                        logs[key] = path.read_text(encoding="utf-8") if path and path.exists() else ""
        records = {record.step: record for record in RecordStore(self.store()).of_run(run_id)}
        return Finished(run_id, status, events, records, logs, plan)

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        with open_instance(self.project, self.profile) as instance:
            yield instance
