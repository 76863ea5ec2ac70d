"""Follows a run of this process: from Dagster's events to the view people see of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maestro.execution.log import MARK
from maestro.runs import RunState, RunView, StepState, StepView

if TYPE_CHECKING:
    from dagster import DagsterEvent

_TAIL_BYTES = 64 * 1024
_RUN_STATES: Mapping[str, RunState] = {
    "PIPELINE_START": "running",
    "PIPELINE_CANCELING": "cancelling",
    "PIPELINE_SUCCESS": "succeeded",
    "PIPELINE_FAILURE": "failed",
    "PIPELINE_CANCELED": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What an event means: a step's new state, or something about the run."""

    step: StepView | None = None
    note: str | None = None
    kind: Literal["step", "stopping", "compensation"] = "step"


@dataclass
class Tracker:
    """The state of one run, made from its events as they come.

    Args:
        names: Dagster's step key -> node name.
        view: the run as it starts, every step waiting.
        logs: node name -> the file it writes to.
    """

    names: Mapping[str, str]
    view: RunView
    logs: Mapping[str, Path | None]
    _steps: dict[str, StepView] = field(default_factory=dict)
    _results: dict[str, dict[str, Any]] = field(default_factory=dict)
    _state: RunState = "running"
    _error: str | None = None
    _compensations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._steps = {step.step: step for step in self.view.steps}

    @property
    def steps(self) -> Sequence[StepView]:
        """Every step as it is now, in the order of the workflow."""
        return tuple(self._steps.values())

    def step(self, name: str) -> StepView:
        """One step as it is now."""
        return self._steps[name]

    @property
    def state(self) -> RunState:
        """The run's state as far as its events say."""
        return self._state

    def take(self, event: DagsterEvent) -> Change | None:
        """Takes one event into account; None when it changes nothing people see."""
        kind = event.event_type_value
        if kind in _RUN_STATES:
            self._state = _RUN_STATES[kind]
            if kind == "PIPELINE_FAILURE":
                self._error = self._run_error(event)
            return None
        if kind == "ENGINE_EVENT" and event.step_key is None:
            return self._engine(event)
        name = self.names.get(event.step_key or "")
        if name is None or name not in self._steps:
            return None
        changed = self._step(kind, event, self._steps[name])
        if changed is None:
            return None
        self._steps[name] = changed
        return Change(step=changed)

    def _step(self, kind: str, event: DagsterEvent, before: StepView) -> StepView | None:
        now = time.time()
        if kind in ("STEP_START", "STEP_RESTARTED"):
            return replace(before, state="running", attempts=before.attempts + 1, started=before.started or now)
        if kind == "STEP_UP_FOR_RETRY":
            return replace(before, state="retrying", summary=_failure(event) or before.summary)
        if kind in ("ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"):
            self._results.setdefault(before.step, {}).update(_result(event))
            return None
        if kind == "STEP_SKIPPED":
            return replace(before, state="skipped", summary="a step it waits for was skipped or failed")
        if kind == "STEP_SUCCESS":
            return replace(self._finished(before), ended=now)
        if kind == "STEP_FAILURE":
            result = self._results.get(before.step, {})
            summary = str(result.get("summary") or _failure(event) or "failed")
            return replace(before, state="failed", summary=_one_line(summary), ended=now)
        return None

    def _finished(self, before: StepView) -> StepView:
        result = self._results.get(before.step)
        if result is None:
            return replace(before, state="skipped", summary=self._skip_reason(before.step))
        state: StepState = "cached" if result.get("cache") == "hit" else "passed"
        if result.get("passed") is False:
            state = "warned" if result.get("warns") else "failed"
        return replace(before, state=state, summary=_one_line(str(result.get("summary") or "")))

    def _skip_reason(self, name: str) -> str:
        lines = self.tail(name, 5)
        marked = [line.removeprefix(f"{MARK}skipped: ") for line in lines if line.startswith(f"{MARK}skipped: ")]
        return marked[-1] if marked else "skipped"

    def _engine(self, event: DagsterEvent) -> Change | None:
        message = event.message or ""
        if message.startswith("Compensation: "):
            line = message.removeprefix("Compensation: ")
            self._compensations.append(line)
            return Change(note=line, kind="compensation")
        if message.startswith("Stopping: "):
            return Change(note=message.removeprefix("Stopping: "), kind="stopping")
        return None

    def _run_error(self, event: DagsterEvent) -> str | None:
        if any(step.state == "failed" for step in self._steps.values()):
            return None
        data: Any = event.event_specific_data
        error = getattr(data, "error", None)
        text = getattr(error, "message", None) or event.message
        return _one_line(text) if text else None

    def log_path(self, name: str) -> Path | None:
        """The file a step writes to; None when there is none."""
        return self.logs.get(name)

    def tail(self, name: str, lines: int) -> list[str]:
        """The last lines a step wrote."""
        path = self.log_path(name)
        if path is None or not path.is_file():
            return []
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]

    def finish(self, state: RunState) -> RunView:
        """The run as it ended; steps that were never started say why."""
        self._state = state
        ended = time.time()
        for name, step in self._steps.items():
            if step.state == "waiting":
                self._steps[name] = replace(step, state="skipped", summary=self._unreached(state))
            elif step.state in ("running", "retrying"):
                self._steps[name] = replace(step, state="failed", summary="stopped", ended=ended)
        return replace(
            self.view,
            state=state,
            steps=self.steps,
            ended=ended,
            compensations=tuple(self._compensations),
            error=self._error,
        )

    def _unreached(self, state: RunState) -> str:
        if state == "cancelled":
            return "not reached: the run was cancelled"
        failed = [step.step for step in self._steps.values() if step.state == "failed"]
        return f"not reached: {failed[0]} failed" if failed else "not reached"


def _result(event: DagsterEvent) -> dict[str, Any]:
    if event.event_type_value == "ASSET_MATERIALIZATION":
        metadata = event.step_materialization_data.materialization.metadata
        found = {name: metadata[name].value for name in ("summary", "cache") if name in metadata}
        return {"passed": True, **found}
    check = event.asset_check_evaluation_data
    return {"passed": check.passed, "warns": check.severity.value == "WARN"}


def _failure(event: DagsterEvent) -> str:
    data: Any = event.event_specific_data
    user = getattr(data, "user_failure_data", None)
    if user is not None and user.description:
        return _one_line(user.description)
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return _one_line(error.message) if error is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
