"""What the executor's loop knows of a run, the threads that carry its steps out, and the news they bring it.

Private seams used, pinned by tests/integration/test_dagster_seams.py: ``ActiveExecution``,
``dagster_event_sequence_for_step``.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanExecutionContext
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import dagster_event_sequence_for_step
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep

from maestro_defs.cached_steps import CachedSteps, Restored
from maestro_defs.step_logs import StepLogs, current_log
from maestro_defs.stops import RunStop
from maestro_defs.turns import Turns

_POLL_SECONDS = 0.2
_POLL_SECONDS_OF_MANY = 1.0
"""In a worker: what asks a run to stop wakes it as well."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A step's thread is done; ``error`` is what it raised beyond its own failure."""

    step: ExecutionStep
    context: Any
    events: list[DagsterEvent]
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Worked:
    """The work of a step is done and kept; its thread has yet to tell Dagster."""

    step_key: str


@dataclass(frozen=True, slots=True)
class Woken:
    """Somebody asks the run for something."""


News: TypeAlias = DagsterEvent | Restored | Worked | Finished | Woken


@dataclass
class LoopState:
    """Read and changed by the loop alone; its threads only put news.

    Args:
        running: keys of steps that have a thread; worked: of those whose work is done.
        held: finally steps that are ready; again: steps that a worker before this one had begun.
        looked: when it was last looked whether the run is marked as cancelled.
    """

    job: PlanExecutionContext
    active: ActiveExecution
    threads: ThreadPoolExecutor
    logs: StepLogs
    cached: CachedSteps
    turns: Turns = field(default_factory=Turns)
    news: queue.SimpleQueue[News] = field(default_factory=queue.SimpleQueue)
    running: set[str] = field(default_factory=set)
    worked: set[str] = field(default_factory=set)
    held: list[ExecutionStep] = field(default_factory=list)
    again: list[ExecutionStep] = field(default_factory=list)
    failed: bool = False
    interrupted: bool = False
    stop: RunStop | None = None
    looked: float = field(default_factory=time.monotonic)
    undecided: int = 0
    """Steps that have given up their places, which may have been taken since."""

    @property
    def poll(self) -> float:
        """Seconds to wait for news before looking whether the run is to stop."""
        return _POLL_SECONDS if self.stop is None else _POLL_SECONDS_OF_MANY

    @property
    def leaving(self) -> bool:
        """Whether another worker is to go on with the run; one that is being stopped is stopped here."""
        return self.stop is not None and self.stop.leaving and not self.interrupted

    def asked_to_stop(self) -> str | None:
        """How, for each signal, and for each time somebody asked instead of sending one."""
        if self.active.check_for_interrupts():
            return "received a signal"
        return "the run is cancelled" if self.stop is not None and self.stop.take() else None

    @property
    def at_work(self) -> int:
        """How many steps take up a place."""
        return len(self.running) - len(self.worked)

    def ended(self, step_key: str) -> None:
        """The step's thread is done."""
        self.running.discard(step_key)
        self.worked.discard(step_key)

    def start(self, step: ExecutionStep) -> None:
        """Gives the step a thread."""
        self.running.add(step.key)
        self.turns.expect()
        self.threads.submit(self._carry_out, step, self.active.get_known_state())

    def _carry_out(self, step: ExecutionStep, known: KnownExecutionState) -> None:
        events: list[DagsterEvent] = []
        context: Any = None
        error: BaseException | None = None
        restored = self.cached.restore(step, known)
        if restored is not None:
            self.turns.expect_no_more()
            self.news.put(restored)
            return
        token = current_log.set(self.logs.path(step.key))
        try:
            with self.turns.taken(lambda: self._worked(step)):
                context = self.job.for_step(step, known)
                if not known.get_retry_state().get_attempt_count(step.key):
                    self.news.put(self.logs.captured(self.job, step.key))
                for event in dagster_event_sequence_for_step(context):
                    events.append(event)
                    self.news.put(event)
        except BaseException as raised:  # noqa: BLE001 - handed to the loop, which raises it
            error = raised
        finally:
            current_log.reset(token)
            self.logs.complete(step.key)
            self.news.put(Finished(step, context, events, error))

    def _worked(self, step: ExecutionStep) -> None:
        self.turns.expect()  # What takes its place.
        self.news.put(Worked(step.key))

    def decided(self) -> None:
        """The places that were given up have been taken, as far as there are steps for them."""
        if self.undecided:
            self.turns.expect_no_more(self.undecided)
            self.undecided = 0


def all_news(news: queue.SimpleQueue[News], patience: float) -> Iterator[News]:
    """What there is, after at most ``patience`` seconds in which there was nothing; up to a place that is free."""
    try:
        item = news.get(timeout=patience) if patience else news.get_nowait()
        yield item
        while not isinstance(item, Worked):
            item = news.get_nowait()
            yield item
    except queue.Empty:
        return
