"""A server's Dagster instance with the warm launcher, a project, and runs of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.context import BaseWorkspaceRequestContext, WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget

from bench.runs_body import PROJECT, opened, source_of
from maestro.project import current_revision
from maestro.runs.tags import PARTITION_TAG, PROJECT_TAG, WORKFLOW_TAG
from maestro.server.home import HOME_VARIABLE
from maestro_defs.compiler import compile_workflow, job_name
from maestro_defs.launcher import WarmLauncher
from maestro_defs.partitions import register_revision
from tests.integration.delivery import Delivery
from tests.integration.warm_process import Warm, until, warm_server

BODY = "bench.runs_body:carry_out"
STOPPED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass
class Served:
    """Runs of one project, launched by the instance's own launcher."""

    warm: Warm
    instance: dg.DagsterInstance
    workspace: BaseWorkspaceRequestContext
    project: Path

    @property
    def launcher(self) -> WarmLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, WarmLauncher)
        return launcher

    def create(self) -> str:
        source = source_of(self.project, self.warm.home.settings.profile)
        revision = current_revision(source.project).id
        register_revision(self.instance, source.project_name, revision)
        job = compile_workflow(source).resolve_job_def(job_name(source.loaded.workflow.name))
        tags = {PROJECT_TAG: source.project_name, WORKFLOW_TAG: source.loaded.workflow.name, PARTITION_TAG: revision}
        return self.instance.create_run_for_job(job_def=job, tags=tags, asset_selection=job.asset_selection).run_id

    def launch(self) -> str:
        run_id = self.create()
        self.instance.launch_run(run_id, self.workspace)
        return run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def ends(self, run_id: str) -> dg.DagsterRunStatus:
        until(lambda: self.run(run_id).status in STOPPED, lambda: self.told(run_id))
        return self.run(run_id).status

    def told(self, run_id: str) -> str:
        """Every event of the run, and what its worker printed."""
        events = [f"{entry.step_key} {entry.message}" for entry in self.instance.all_logs(run_id)]
        return "\n".join([*events, self.warm.run_log(run_id)])

    def steps(self, run_id: str, event: str) -> list[str]:
        logged = (entry.dagster_event for entry in self.instance.all_logs(run_id))
        return [str(one.step_key) for one in logged if one is not None and one.event_type_value == event]

    def file(self, name: str) -> Path:
        """One that steps make, to be waited for."""
        return self.project.parent / name

    def lines(self, name: str) -> int:
        """How many it has; none while it is not there."""
        file = self.file(name)
        return file.read_text().count("\n") if file.exists() else 0

    def appears(self, name: str, run_id: str) -> None:
        until(self.file(name).exists, lambda: f"{name} does not appear\n{self.told(run_id)}")


@contextmanager
def served(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, workflow: str, *, settings: str = ""
) -> Iterator[Served]:
    """A server for the repository of ``delivery``, with ``workflow`` in it; ``{here}`` is the folder beside it."""
    delivery.workflow(workflow.replace("{here}", str(delivery.root.parent)))
    postgres = delivery.profile.name == "postgres"
    profile = "server" if postgres else "single"
    lines = [f"profile: {profile}", *(["database: env:MAESTRO_POSTGRES_URL"] if postgres else []), settings]
    folder = delivery.root.parent / "home"
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    monkeypatch.setenv(PROJECT, str(delivery.root))
    with (
        warm_server(folder, "\n".join(lines), BODY) as warm,
        opened(warm.home.dagster, profile) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context,
    ):
        yield Served(warm, instance, context.create_request_context(), delivery.root)
