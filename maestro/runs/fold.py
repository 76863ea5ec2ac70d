"""From a run's events to what is shown of it."""

from __future__ import annotations

from dataclasses import replace

from maestro.runs.event import LogKey, RunEvent, RunRecord
from maestro.runs.process import is_gone
from maestro.runs.view import FINISHED, RunState, RunView, StepState, StepView

_REASON_TAG = "dagster/failure_reason"
COMPENSATION = "Compensation: "
EVIDENCE = "Evidence: "
FINALLY = "Finally: step "
_LATE: dict[str, StepState] = {"passed": "passed", "failed": "failed", "skipped": "skipped"}
_STOPPING = "Stopping: "
_TIMEOUT = "the run took longer than"
# What Dagster's code server says of a run's process that ended by itself.
_PROCESS = "[DagsterApiServer] Run execution process"
_ENDED = ("was terminated by", "unexpectedly exited")
_OPEN: frozenset[StepState] = frozenset({"waiting", "running", "retrying"})
_LOST = "its process ended without a word; `maestro retry {run_id}` goes on at its first unfinished step"

PROGRESS: dict[str, RunState] = {
    "RUN_ENQUEUED": "queued",
    "RUN_STARTING": "queued",
    "RUN_START": "running",
    "RUN_CANCELING": "cancelling",
}
"""The state a run is in from that event on."""

LAST_EVENTS: dict[str, RunState] = {
    "RUN_SUCCESS": "succeeded",
    "RUN_FAILURE": "failed",
    "RUN_CANCELED": "cancelled",
}
"""The state a run ends in."""

STEP_EVENTS = frozenset(
    {
        "ASSET_MATERIALIZATION_PLANNED",
        "STEP_START",
        "STEP_RESTARTED",
        "STEP_UP_FOR_RETRY",
        "STEP_SKIPPED",
        "STEP_SUCCESS",
        "STEP_FAILURE",
        "ASSET_MATERIALIZATION",
        "ASSET_OBSERVATION",
        "ASSET_CHECK_EVALUATION",
    }
)
USED_EVENTS = frozenset(LAST_EVENTS) | STEP_EVENTS | frozenset(PROGRESS) | {"ENGINE_EVENT", "LOGS_CAPTURED"}
"""The events a view is made of."""


def is_lost(record: RunRecord) -> bool:
    """True when the process of this machine that should carry the run out is gone."""
    return record.state not in FINISHED and record.process is not None and is_gone(record.process)


class RunFold:
    """What the events of one run, taken in order, add up to."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._steps: dict[str, StepView] = {}
        self._names: dict[str, str] = {}
        self._files: dict[str, list[str]] = {}
        self._cached: set[str] = set()
        self._made: set[str] = set()
        self._warned: set[str] = set()
        self._blocked: dict[str, str] = {}
        self._compensations: list[str] = []
        self._failure: str | None = None
        self._exception: str | None = None
        self._timeout: str | None = None
        self._died = False

    def take(self, event: RunEvent) -> StepView | None:
        """Adds an event; the step it is about when that changed."""
        if event.kind == "LOGS_CAPTURED":
            self._note_log(event)
        elif event.kind == "ENGINE_EVENT":
            self._note_engine(event)
        elif event.kind == "RUN_FAILURE":
            self._failure, self._exception = event.message, event.error
        elif event.kind in STEP_EVENTS and event.step_key is not None:
            return self._step(event, event.step_key)
        return None

    @property
    def steps(self) -> tuple[StepView, ...]:
        """The steps as they are: those that started in order, then the others, ``finally`` last."""
        first = [one for one in self._steps.values() if one.started is not None]
        first.sort(key=lambda one: one.started or 0.0)
        rest = [one for one in self._steps.values() if one.started is None]
        rest.sort(key=lambda one: one.step.startswith("finally/"))
        return (*first, *rest)

    def logs(self, step: str) -> list[LogKey]:
        """Keys of a step's logs, oldest first."""
        keys = [key for key, name in self._names.items() if name == step]
        return [(self._run_id, "compute_logs", file) for key in keys for file in self._files.get(key, ())]

    def view(self, record: RunRecord) -> RunView:
        """The run, with its steps."""
        lost = is_lost(record)
        state: RunState = "failed" if lost else record.state
        error = _LOST.format(run_id=record.run_id) if lost else self._error(record, state)
        steps = tuple(self._closed(one, state) for one in self.steps) if state in FINISHED else self.steps
        return replace(
            plain_view(record), state=state, steps=steps, compensations=tuple(self._compensations), error=error
        )

    def _error(self, record: RunRecord, state: RunState) -> str | None:
        if state not in FINISHED or state == "succeeded":
            return None
        if self._died and state == "failed":
            return _LOST.format(run_id=record.run_id)
        if self._timeout or state == "cancelled":
            return self._timeout
        failed = any(one.state == "failed" for one in self._steps.values())
        crashed = record.tags.get(_REASON_TAG) == "RUN_EXCEPTION"
        if self._exception and (crashed or not failed):
            return self._exception
        return None if failed else self._failure

    def _closed(self, step: StepView, state: RunState) -> StepView:
        """A step of a finished run: nothing is open any more."""
        if step.state not in _OPEN:
            return step
        ending = "the run was cancelled" if state == "cancelled" else "the run ended before it"
        if step.state == "waiting":
            failed = any(one.state == "failed" for one in self._steps.values())
            why = "a step before it failed" if failed and state == "failed" else ending
            return replace(step, state="skipped", summary=why)
        why = step.summary or (ending if state == "cancelled" else "its process ended")
        return replace(step, state="failed", summary=why)

    def _note_log(self, event: RunEvent) -> None:
        for key in event.steps:
            known = self._files.setdefault(key, [])
            if event.file is not None and event.file not in known:
                known.append(event.file)

    def _note_engine(self, event: RunEvent) -> None:
        if event.message.startswith(COMPENSATION):
            self._compensations.append(event.message.removeprefix(COMPENSATION))
        if event.message.startswith(_PROCESS) and any(word in event.message for word in _ENDED):
            self._died = True
        name = str(event.metadata.get("step", ""))
        outcome = event.message.removeprefix(f"{FINALLY}{name} ")
        if name and outcome != event.message:
            word, _, why = outcome.partition(": ")
            state = _LATE.get(word, "failed")
            before = self._steps.get(name) or StepView(name, "waiting")
            summary = _one_line(why) if word in _LATE else _one_line(outcome)
            self._steps[name] = replace(before, state=state, summary=summary, ended=event.time)
        reason = event.message.removeprefix(_STOPPING)
        if reason != event.message and reason.startswith(_TIMEOUT):
            self._timeout = reason

    def _step(self, event: RunEvent, key: str) -> StepView | None:
        if event.asset[1:]:
            self._names.setdefault(key, "/".join(event.asset[1:]))
        name = self._names.setdefault(key, key.replace("__", "/"))
        before = self._steps.get(name) or StepView(name, "waiting")
        self._steps[name] = after = self._changed(before, event)
        told = (after.state, after.attempts) != (before.state, before.attempts)
        return after if told or event.kind == "ASSET_MATERIALIZATION_PLANNED" else None

    def _changed(self, step: StepView, event: RunEvent) -> StepView:
        name = step.step
        summary = str(event.metadata.get("summary", ""))
        match event.kind:
            case "STEP_START" | "STEP_RESTARTED":
                started = step.started or event.time
                return replace(step, state="running", attempts=step.attempts + 1, started=started, summary="")
            case "STEP_UP_FOR_RETRY":
                return replace(step, state="retrying", summary=_one_line(event.error or event.message))
            case "ASSET_MATERIALIZATION":
                self._made.add(name)
                if event.metadata.get("cache") == "hit":
                    self._cached.add(name)
                return replace(step, summary="" if summary == "passed" else _one_line(summary))
            case "ASSET_OBSERVATION":
                return replace(step, summary=_one_line(str(event.metadata.get("skipped", step.summary))))
            case "ASSET_CHECK_EVALUATION":
                if event.passed:
                    return step
                if event.blocking:
                    self._blocked[name] = _one_line(summary)
                else:
                    self._warned.add(name)
                return replace(step, summary=_one_line(summary))
            case "STEP_SKIPPED":
                return replace(step, state="skipped", summary="a step before it was skipped", ended=event.time)
            case "STEP_SUCCESS":
                return replace(step, state=self._success(name), ended=event.time)
            case "STEP_FAILURE":
                why = self._blocked.get(name) or _one_line(event.error or event.message)
                return replace(step, state="failed", summary=why, ended=event.time)
            case _:
                return step

    def _success(self, name: str) -> StepState:
        if name in self._warned:
            return "warned"
        if name in self._cached:
            return "cached"
        # A step whose `when` was not met succeeds, for Dagster, without an asset.
        return "passed" if name in self._made else "skipped"


def plain_view(record: RunRecord) -> RunView:
    """The run without its steps."""
    lost = is_lost(record)
    return RunView(
        run_id=record.run_id,
        project=record.project,
        workflow=record.workflow,
        revision=record.revision,
        state="failed" if lost else record.state,
        resumes=record.earlier[0] if record.earlier else None,
        created=record.created,
        started=record.started,
        ended=record.ended,
        params=record.params,
        error=_LOST.format(run_id=record.run_id) if lost else None,
    )


def _one_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].strip()
