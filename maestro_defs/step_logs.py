"""Every step's own compute log, though the steps of a run share one process.

Dagster captures logs by redirecting the process's file descriptors, which concurrent steps would fight over. The
executor registers a log of its own for each step instead and says so with the same event.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from dagster import DagsterEvent, DagsterInstance
from dagster._core.execution.context.system import IPlanContext
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager

current_log: ContextVar[Path | None] = ContextVar("current_log", default=None)
"""The file the step running in this thread writes to; None under a stock executor, which captures by itself."""


def _local_manager(instance: DagsterInstance) -> LocalComputeLogManager | None:
    manager = instance.compute_log_manager
    if isinstance(manager, LocalComputeLogManager):
        return manager
    # Managers that keep logs in the cloud write them locally first and upload them when a step is complete.
    local = getattr(manager, "local_manager", None)
    return local if isinstance(local, LocalComputeLogManager) else None


_STDOUT = IO_TYPE_EXTENSION[ComputeIOType.STDOUT]
_LONGEST_PLAIN_NAME = 200


class StepLogs:
    """The compute logs of one run's steps."""

    def __init__(self, instance: DagsterInstance, run_id: str) -> None:
        self._instance = instance
        self._run_id = run_id
        self._local = _local_manager(instance)
        self._folder = self._path_of("step", _STDOUT).parent if self._local else None

    def key(self, step_key: str) -> Sequence[str]:
        """Dagster's key of a step's log."""
        return self._instance.compute_log_manager.build_log_key_for_run(self._run_id, step_key)

    def _path_of(self, step_key: str, extension: str) -> Path:
        assert self._local is not None
        return Path(self._local.get_captured_local_path(self.key(step_key), extension))

    def _file(self, step_key: str, extension: str) -> Path | None:
        if self._folder is None:
            return None
        # Dagster resolves every path anew, several times a step; only for a name too long for a file it matters.
        if len(step_key) > _LONGEST_PLAIN_NAME:
            return self._path_of(step_key, extension)
        return self._folder / f"{step_key}.{extension}"

    def path(self, step_key: str) -> Path | None:
        """File the step writes to; None when the log manager keeps no files."""
        return self._file(step_key, _STDOUT)

    def captured(self, context: IPlanContext, step_key: str) -> DagsterEvent:
        """The event that tells the UI where the step's log is; creates the file, so that it can be followed."""
        path = self.path(step_key)
        if path is not None:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        log_key = self.key(step_key)
        event: DagsterEvent = DagsterEvent.capture_logs(context, [step_key], log_key, CapturedLogContext(log_key))
        return event

    def complete(self, step_key: str) -> None:
        """Says that nothing more comes; a manager with a cloud behind it uploads now."""
        done = self._file(step_key, "complete")
        if done is None:
            return
        done.touch()
        upload = getattr(self._instance.compute_log_manager, "on_capture_complete", None)
        if upload is not None:
            upload(self.key(step_key))
