"""A run launcher whose workers are moved by hand, and an instance that queues runs for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import yaml
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from maestro.profile import load_profile
from maestro.runs.tags import GROUP_TAG, PARTITION_TAG, PROJECT_TAG, SUPERSEDES_TAG
from maestro_defs.instance import open_home

NOBODY: Any = None
"""In place of a workspace: the hand launcher looks nothing up in it."""


class HandLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Its workers begin, end and die when told; what is launched twice has one worker, as with the warm launcher."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self.lock = threading.Lock()
        self.forget()
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster's is.

    def forget(self) -> None:
        """As if it had just been made."""
        self.launched: list[str] = []
        self.workers: set[str] = set()
        self.stopped: list[str] = []
        self.trouble: Callable[[DagsterRun], None] = lambda run: None

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        assert run.status == DagsterRunStatus.STARTING
        self.trouble(run)
        with self.lock:
            self.launched.append(run.run_id)
            self.workers.add(run.run_id)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        with self.lock:
            self.stopped.append(run_id)
        if run.status != DagsterRunStatus.CANCELING:
            self._instance.report_run_canceling(run)
        return run_id in self.workers

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        return CheckRunHealthResult(WorkerStatus.RUNNING if run.run_id in self.workers else WorkerStatus.NOT_FOUND)

    def begin(self, run: DagsterRun) -> None:
        """The run's worker starts it."""
        self._report(run, DagsterEventType.PIPELINE_START)

    def end(self, run: DagsterRun, status: DagsterEventType = DagsterEventType.PIPELINE_SUCCESS) -> None:
        """The run's worker ends with it."""
        self._report(run, status)
        self.workers.discard(run.run_id)

    def _report(self, run: DagsterRun, kind: DagsterEventType) -> None:
        self._instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)


class Queue:
    """An instance with Maestro's coordinator and the hand launcher."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        launcher: Any = instance.run_launcher
        self.launcher: HandLauncher = launcher

    def make(
        self, group: str | None = None, *, supersedes: bool = False, tags: Mapping[str, str] | None = None
    ) -> DagsterRun:
        """A run that has not been submitted."""
        named = {PROJECT_TAG: "shop", PARTITION_TAG: "0123456789abcdef", **(tags or {})}
        if group is not None:
            named |= {GROUP_TAG: group, SUPERSEDES_TAG: "true" if supersedes else "false"}
        pointer = ModuleCodePointer("maestro_defs.definitions", "defs", None)
        return self.instance.create_run(
            job_name="flow",
            run_id=None,
            run_config={},
            status=None,
            tags=named,
            root_run_id=None,
            parent_run_id=None,
            step_keys_to_execute=None,
            execution_plan_snapshot=None,
            job_snapshot=None,
            parent_job_snapshot=None,
            asset_selection=None,
            asset_check_selection=None,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=RemoteJobOrigin(
                RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("shop"), "__repository__"), "flow"
            ),
            job_code_origin=JobPythonOrigin("flow", RepositoryPythonOrigin("python", pointer)),
            asset_graph=NOBODY,
        )

    def submit(
        self, group: str | None = None, *, supersedes: bool = False, tags: Mapping[str, str] | None = None
    ) -> DagsterRun:
        """A run that waits in the queue."""
        return self.instance.submit_run(self.make(group, supersedes=supersedes, tags=tags).run_id, NOBODY)

    def resubmit(self, run: DagsterRun) -> DagsterRun:
        """Submits a run that somebody read before."""
        return self.instance.run_coordinator.submit_run(SubmitRunContext(run, NOBODY))

    def status(self, run: DagsterRun) -> DagsterRunStatus:
        return self.read(run).status

    def read(self, run: DagsterRun) -> DagsterRun:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def messages(self, run: DagsterRun) -> str:
        events = (entry.dagster_event for entry in self.instance.all_logs(run.run_id))
        return "\n".join(event.message or "" for event in events if event is not None)

    def kinds(self, run: DagsterRun) -> list[str]:
        entries = self.instance.all_logs(run.run_id)
        return [entry.dagster_event.event_type_value for entry in entries if entry.dagster_event is not None]


@contextmanager
def open_queue(
    folder: Path, server: Path, postgres: str | None = None, settings: Mapping[str, Any] | None = None
) -> Iterator[Queue]:
    """An instance in ``folder``, on SQLite or on the PostgreSQL database given.

    Args:
        server: the server's home.
        settings: more of ``dagster.yaml``.
    """
    folder.mkdir(exist_ok=True)
    content: dict[str, Any] = {
        "telemetry": {"enabled": False},
        "run_coordinator": {
            "module": "maestro_defs.coordinator",
            "class": "MaestroRunCoordinator",
            "config": {"home": str(server)},
        },
        "run_launcher": {"module": __name__, "class": "HandLauncher"},
        **(settings or {}),
    }
    if postgres is not None:
        content["storage"] = {"postgres": {"postgres_url": postgres}}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content))
    with open_home(folder, load_profile("default")) as instance:
        yield Queue(instance)
