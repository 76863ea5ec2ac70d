"""Runs on this machine: the same interface as ``maestro.remote`` has for those of a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType

from dagster import DagsterInstance

from maestro.errors import MaestroError
from maestro.profile import Profile
from maestro.project import Project
from maestro.runs import reading
from maestro.runs.client import LaunchRequest, News
from maestro.runs.project_name import project_name as default_name
from maestro.runs.view import RunView
from maestro_defs.instance import open_instance
from maestro_defs.local_cancel import cancel_run
from maestro_defs.local_reader import LocalReader


class LocalRuns:
    """Runs of one project in its own Dagster instance; a context manager, or call ``close``.

    Args:
        project_name: as the workflow gives it; the project's default name when None.

    Raises:
        MaestroError: Dagster's storage cannot be used.
    """

    def __init__(self, project: Project, profile: Profile, *, project_name: str | None = None) -> None:
        self._stack = ExitStack()
        self.instance: DagsterInstance = self._stack.enter_context(open_instance(project, profile))
        self._reader = LocalReader(self.instance, project_name or default_name(project))

    def __enter__(self) -> LocalRuns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the instance."""
        self._stack.close()

    def list(self, limit: int) -> list[RunView]:
        """The newest runs first, without their steps."""
        return reading.list_runs(self._reader, limit)

    def get(self, run_id: str) -> RunView:
        """One run with its steps."""
        return reading.get_run(self._reader, run_id)

    def follow(self, run_id: str, *, steps: Sequence[str] = (), logs: bool = True) -> Iterator[News]:
        """What has happened and what happens, in order, until the run ends."""
        return reading.follow_run(self._reader, run_id, steps, logs)

    def log(self, run_id: str, step: str) -> Iterator[bytes]:
        """What a step has written so far."""
        return reading.read_log(self._reader, run_id, step)

    def cancel(self, run_id: str, *, force: bool = False) -> RunView:
        """Asks the run to stop and waits until it has.

        Raises:
            InputError: it has ended already; MaestroError: it cannot be reached, or does not stop.
        """
        record = reading.record_of(self._reader, run_id)
        cancel_run(self.instance, record, force=force)
        return reading.get_run(self._reader, record.run_id)

    def launch(self, request: LaunchRequest) -> str:
        """Refuses: a run on this machine is carried out by the process that starts it."""
        raise MaestroError(
            "a run on this machine is carried out in the foreground, nothing can be launched to run on its own",
            next_step="use `maestro run`, or launch on a server with --remote URL",
        )
