"""Follows a run of this process: from Dagster's events, as they come, to the view people see of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maestro.runs import RunView, StepView
from maestro.runs.event import RunEvent
from maestro.runs.fold import COMPENSATION, EVIDENCE, RunFold

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance

_STOPPING = "Stopping: "
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Change:
    """What an event means: a step's new state, or something about the run."""

    step: StepView | None = None
    note: str | None = None
    kind: Literal["step", "stopping", "compensation", "evidence", "budget"] = "step"


@dataclass
class Tracker:
    """The state of one run, made from its events.

    Args:
        names: node name -> Dagster's step key.
        logs: node name -> the file it writes to; None when the log manager keeps no files.
    """

    run_id: str
    names: Mapping[str, str]
    logs: Mapping[str, Path | None]
    _fold: RunFold = field(init=False)
    _steps: dict[str, StepView] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._fold = RunFold(self.run_id)
        for name, key in self.names.items():
            # Dagster says so when it makes the run, before anything can listen.
            planned = RunEvent("ASSET_MATERIALIZATION_PLANNED", 0.0, step_key=key, asset=("", *name.split("/")))
            self._fold.take(planned)
            self._steps[name] = StepView(name, "waiting")

    def step(self, name: str) -> StepView:
        """One step as it is now."""
        return self._steps[name]

    @property
    def steps(self) -> tuple[StepView, ...]:
        """Every step as it is now, in the order of the workflow."""
        return tuple(self._steps.values())

    def take(self, event: DagsterEvent, time: float) -> Change | None:
        """Takes one event into account; None when it changes nothing people see."""
        if event.event_type_value in ("ENGINE_EVENT", "PIPELINE_FAILURE"):
            self._fold.take(_run_event(event, self.run_id, time))
            return _about_run(event.message or "")
        if event.step_key is None:
            return None
        step = self._fold.take(_run_event(event, self.run_id, time))
        if step is None or step.step not in self._steps or step == self._steps[step.step]:
            return None
        before = self._steps[step.step]
        self._steps[step.step] = step
        return None if (step.state, step.attempts) == (before.state, before.attempts) else Change(step=step)

    def finish(self, instance: DagsterInstance, *, recorded: bool) -> RunView:
        """The run as it ended.

        Args:
            recorded: read it again, with the times of the event log, so that it equals what ``maestro status`` says.
        """
        from maestro.runs.reading import get_run
        from maestro_defs.local_reader import LocalReader
        from maestro_defs.run_views import record_of

        if recorded:
            return get_run(LocalReader(instance, ""), self.run_id)
        record = instance.get_run_record_by_id(self.run_id)
        assert record is not None
        return self._fold.view(record_of(record))

    def tail(self, name: str, lines: int) -> list[str]:
        """The last lines a step wrote."""
        path = self.logs.get(name)
        if path is None or not path.is_file():
            return []
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]


def _about_run(message: str) -> Change | None:
    if message.startswith(COMPENSATION):
        return Change(note=message.removeprefix(COMPENSATION), kind="compensation")
    if message.startswith(EVIDENCE):
        return Change(note=message.removeprefix(EVIDENCE), kind="evidence")
    if message.startswith(_STOPPING):
        return Change(note=message.removeprefix(_STOPPING), kind="stopping")
    return None


def _run_event(event: DagsterEvent, run_id: str, time: float) -> RunEvent:
    from dagster import EventLogEntry

    from maestro_defs.run_views import event_of

    make: Any = EventLogEntry  # Dagster gives its constructor no types.
    return event_of(make(None, logging.INFO, "", run_id, time, event.step_key, event.job_name, event))
