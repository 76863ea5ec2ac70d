"""Maestro's run coordinator: whoever submits a run puts it into the queue, and the conductor admits it.

Every way into Dagster (the UI's launch, schedules, sensors, backfills, re-executions, the conductor itself) submits
here. The queue is the runs with the status QUEUED. ``admit_queued`` is one round of admission; the conductor is the one
process that calls it. Without a conductor a queued run waits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, Field, StringSource
from dagster._core.run_coordinator import RunCoordinator, SubmitRunContext
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from maestro.errors import MaestroError
from maestro.server.home import ServerHome, find_server
from maestro.server.wake import poke
from maestro_defs.admissions import Admissions, admit_queued
from maestro_defs.run_moves import CANCELLED, cancel_in_queue, move_run

__all__ = ["Admissions", "MaestroRunCoordinator", "admit_queued"]

CONDUCTOR = "conductor"
"""What the conductor waits for pokes as."""

_log = logging.getLogger(__name__)


class MaestroRunCoordinator(RunCoordinator[DagsterInstance], ConfigurableClass):
    """Queues runs for the conductor.

    In ``dagster.yaml``::

        run_coordinator:
          module: maestro_defs.coordinator
          class: MaestroRunCoordinator
          config: {home: {env: MAESTRO_SERVER_HOME}}
    """

    def __init__(self, home: str | None = None, inst_data: ConfigurableClassData | None = None) -> None:
        self._home = home
        self._found: ServerHome | None = None
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster's base has no annotations.

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What ``dagster.yaml`` says."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """The server's home."""
        return {"home": Field(StringSource, is_required=False, description="The server's home, a folder.")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """As Dagster makes it."""
        return cls(home=config_value.get("home"), inst_data=inst_data)

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Puts the run into the queue, durably, and wakes the conductor; does nothing to a run that was submitted."""
        run = context.dagster_run
        if move_run(self._instance, run, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED):
            run = run.with_status(DagsterRunStatus.QUEUED)
        else:
            run = self._instance.get_run_by_id(run.run_id) or run
        self._poke()
        return run

    def cancel_run(self, run_id: str) -> bool:
        """Cancels a queued run at once, and has the launcher stop one that was launched.

        Returns:
            False when there is no such run, it has ended, or its launcher cannot reach it.
        """
        instance = self._instance
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if cancel_in_queue(instance, run, f"{CANCELLED} while it was queued."):
            self._poke()
            return True
        # Its status is left to the launcher, for which a run that is being cancelled already is one to be cut short.
        return instance.run_launcher.terminate(run_id)

    def _poke(self) -> None:
        try:
            if self._found is None:
                self._found = find_server(self._home)
            poke(self._found, CONDUCTOR)
        except (MaestroError, OSError) as error:
            _log.warning("The conductor cannot be woken, it looks by itself within seconds: %s", error)
