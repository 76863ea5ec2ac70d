"""Maestro's executor: the steps of a run, concurrently, in one process; each step's work is a subprocess anyway.

Dagster's plan state machine decides what is ready (dependencies, retries, skips, pools); threads carry steps out, in
turns where they deal with Dagster (``maestro_defs.turns``); this file is the loop between the two, and what it knows is
``maestro_defs.loop_state``. A step gives up its place when its work is done and kept, so the next one begins while
Dagster is told. What a run does at its end is ``maestro_defs.run_end``.

Private seams used, pinned by tests/integration/test_dagster_seams.py: ``ExecuteRunWithPlanIterable``,
``PlanExecutionContextManager``, ``ExecutionPlan.start`` and ``ActiveExecution``, ``InstanceConcurrencyContext``,
``_trigger_hook``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import _trigger_hook
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.base import Executor
from dagster._core.executor.init import InitExecutorContext
from dagster._core.storage.dagster_run import DagsterRunStatus

from maestro_defs.cached_steps import CachedSteps, Restored
from maestro_defs.connections import kept_connections
from maestro_defs.loop_state import Finished, LoopState, Woken, Worked, all_news
from maestro_defs.run_end import RunEnd, session_of
from maestro_defs.run_moves import status_of
from maestro_defs.step_logs import StepLogs
from maestro_defs.stops import look_for_cancelled, stop_of

FINAL_TAG = "maestro/final"
_CANCELLED = (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED)
_BRIEF_SECONDS = 0.01
_STATUS_SECONDS = 1.0
_STATUS_SECONDS_OF_MANY = 3.0
"""In a worker: it is told directly when a run is cancelled, and a thousand runs may be looking."""
_THREADS_A_PLACE = 2
"""So that a step can begin its work while the one before it, its work done, is written down."""


class ConcurrentExecutor(Executor):
    """Runs up to ``max_concurrent`` steps of a run at once, in threads of one process."""

    def __init__(self, retries: RetryMode, max_concurrent: int) -> None:
        self._retries = retries
        self._max_concurrent = max_concurrent

    @property
    def retries(self) -> RetryMode:
        """Whether steps are retried."""
        return self._retries

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Carries out the plan; yields its events, already logged."""
        with kept_connections(plan_context.instance):
            yield DagsterEvent.engine_event(
                plan_context,
                f"Executing steps, up to {self._max_concurrent} at once (pid: {os.getpid()})",
                EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute),
            )
            yield from iter(
                ExecuteRunWithPlanIterable(
                    execution_plan=execution_plan,
                    iterator=partial(self._iterate, resumes=plan_context.resume_from_failure),
                    execution_context_manager=PlanExecutionContextManager(
                        job=plan_context.job,
                        retry_mode=plan_context.retry_mode,
                        execution_plan=execution_plan,
                        run_config=plan_context.run_config,
                        dagster_run=plan_context.dagster_run,
                        instance=plan_context.instance,
                        raise_on_error=plan_context.raise_on_error,
                        output_capture=plan_context.output_capture,
                        step_dependency_config=self.step_dependency_config,
                    ),
                )
            )

    def _iterate(
        self, job_context: PlanExecutionContext, execution_plan: ExecutionPlan, *, resumes: bool
    ) -> Iterator[DagsterEvent]:
        instance, run = job_context.instance, job_context.dagster_run
        with (
            InstanceConcurrencyContext(instance, run) as pools,
            execution_plan.start(
                retry_mode=self._retries,
                max_concurrent=_THREADS_A_PLACE * self._max_concurrent + _finals(execution_plan),
                instance_concurrency_context=pools,
                step_dependency_config=self.step_dependency_config,
            ) as active,
            ThreadPoolExecutor(_THREADS_A_PLACE * self._max_concurrent, thread_name_prefix="step") as threads,
        ):
            session, logs = session_of(job_context), StepLogs(instance, run.run_id)
            cached = CachedSteps(job_context, session, logs)
            state = LoopState(job_context, active, threads, logs, cached, stop=stop_of(run.run_id))
            if state.stop is not None:
                state.stop.wakes(lambda: state.news.put(Woken()))
            end = RunEnd(job_context, session, logs)
            end.introduce()
            if resumes:
                _take_up(state)
            if state.stop is not None and status_of(instance, run.run_id) in _CANCELLED:
                state.stop.ask()
            try:
                yield from self._main_steps(state, end)
                yield from end.compensate(needed=state.failed or state.interrupted)
                yield from self._final_steps(state, end)
                yield from end.seal()
                end.done()
            except BaseException:
                end.abort()
                raise
            finally:
                end.close()

    def _main_steps(self, state: LoopState, end: RunEnd) -> Iterator[DagsterEvent]:
        active = state.active
        yield from self._look_for_interrupt(state, end)
        while True:
            if not state.interrupted and not state.leaving:
                yield from self._start_ready(state)
            if state.leaving and not state.running and not active.is_complete:
                self._leave(state, end)
            if not state.running and (state.interrupted or self._only_held(state)):
                return
            if not state.running and not state.interrupted:
                active.sleep_til_ready()
            yield from self._take_news(state, self._patience(state))
            yield from self._look_for_interrupt(state, end)

    @staticmethod
    def _leave(state: LoopState, end: RunEnd) -> None:
        """Nothing of the run goes on: its thread stays here for ever, since all that follows would end the run."""
        end.close()
        job = state.job
        job.instance.event_log_storage.free_concurrency_slots_for_run(job.run_id)
        message = "Left between steps, because its worker is told to end; another one goes on with the run."
        job.instance.report_engine_event(message, job.dagster_run)
        assert state.stop is not None
        state.stop.park()

    def _start_ready(self, state: LoopState) -> Iterator[DagsterEvent]:
        restored: list[Restored] = []
        while state.again and self._free(state) > 0:
            state.start(state.again.pop(0))
        while (free := self._free(state)) > 0:
            steps = state.active.get_steps_to_execute(limit=free)
            for step in steps:
                if step.tags.get(FINAL_TAG):
                    state.held.append(step)
                elif at_hand := state.cached.restore_at_hand(step, state.active.get_known_state()):
                    restored.append(at_hand)
                else:
                    state.start(step)
            if not steps:
                break
        yield from self._tell_restored(state, restored)
        yield from state.active.concurrency_event_iterator(state.job)

    def _free(self, state: LoopState) -> int:
        """Places for steps: as many as may work at once, while there are threads for them."""
        return min(self._max_concurrent - state.at_work, _THREADS_A_PLACE * self._max_concurrent - len(state.running))

    @staticmethod
    def _only_held(state: LoopState) -> bool:
        # Everything but the held finally steps is settled when nothing else is in flight or can still become ready.
        held = {step.key for step in state.held}
        active = state.active
        return active.is_complete or (active._in_flight <= held and _nothing_pending(active))

    @staticmethod
    def _patience(state: LoopState) -> float:
        if not state.running:
            return 0.0
        wait: float = state.active.sleep_interval()  # type: ignore[no-untyped-call]  # Dagster's own
        # Negative for a retry that is due, but has no place yet.
        return min(state.poll, max(_BRIEF_SECONDS, wait)) if wait else state.poll

    def _take_news(self, state: LoopState, patience: float) -> Iterator[DagsterEvent]:
        restored: list[Restored] = []
        state.decided()
        for item in all_news(state.news, patience):
            if isinstance(item, Restored):
                restored.append(item)
            elif isinstance(item, Worked):
                state.worked.add(item.step_key)
                state.undecided += 1
            elif isinstance(item, Woken):
                pass  # The loop looks by itself what it is.
            elif isinstance(item, Finished):
                yield from self._finish(state, item)
            else:
                yield item
                # A retry waits until the thread of the attempt is done: it may be due at once.
                if item.step_key is not None and not item.is_step_up_for_retry:
                    state.active.handle_event(item)
                state.failed = state.failed or item.is_step_failure
        yield from self._tell_restored(state, restored)

    @staticmethod
    def _tell_restored(state: LoopState, restored: list[Restored]) -> Iterator[DagsterEvent]:
        if not restored:
            return
        for event in state.cached.events(restored):
            yield event
            if event.step_key is not None:
                state.active.handle_event(event)
        for item in restored:
            state.ended(item.step.key)
            state.active.verify_complete(state.job, item.step.key)
        if not state.interrupted:
            yield from state.active.plan_events_iterator(state.job)

    @staticmethod
    def _finish(state: LoopState, item: Finished) -> Iterator[DagsterEvent]:
        state.ended(item.step.key)
        if item.error is not None and item.context is None:
            raise item.error
        for event in item.events:
            if event.is_step_up_for_retry:
                state.active.handle_event(event)
        state.active.verify_complete(state.job, item.step.key)
        if item.error is not None and state.job.raise_on_error:
            raise item.error
        if not state.interrupted:
            yield from state.active.plan_events_iterator(state.job)
        yield from _trigger_hook(item.context, item.events)

    @staticmethod
    def _look_for_interrupt(state: LoopState, end: RunEnd) -> Iterator[DagsterEvent]:
        signalled = state.asked_to_stop()
        reason = signalled or end.timed_out()
        now = time.monotonic()
        # The UI can mark a run as cancelled without reaching its process: the status is the second way in.
        if reason is None and state.stop is not None:
            look_for_cancelled(partial(_cancelled, state.job.instance), _STATUS_SECONDS_OF_MANY)
        elif reason is None and now - state.looked > _STATUS_SECONDS:
            state.looked = now
            run = state.job.instance.get_run_by_id(state.job.run_id)
            if run is None or run.status in _CANCELLED:
                reason = "the run is marked as cancelled"
        if reason is None:
            return
        if state.interrupted:
            if signalled:
                end.abort()
            return
        state.interrupted = True
        state.active.mark_interrupted()
        yield DagsterEvent.engine_event(
            state.job, f"Stopping: {reason}", EngineEventData.interrupted(sorted(state.running))
        )
        end.stop_main_steps(signalled=signalled is not None)

    def _final_steps(self, state: LoopState, end: RunEnd) -> Iterator[DagsterEvent]:
        for first in sorted(state.held, key=lambda one: int(one.tags[FINAL_TAG])):
            attempts = [first]
            while attempts:
                state.start(attempts[0])
                while state.running:
                    yield from self._take_news(state, state.poll)
                    if state.asked_to_stop():
                        end.abort()
                attempts = [] if end.aborted else self._due_again(state.active)

    @staticmethod
    def _due_again(active: ActiveExecution) -> list[ExecutionStep]:
        """The finally step that failed and is to be tried again, once its delay is over."""
        while True:
            again = [step for step in active.get_steps_to_execute() if step.tags.get(FINAL_TAG)]
            if again or not active.sleep_interval():  # type: ignore[no-untyped-call]  # Dagster's own
                return again
            active.sleep_til_ready()


def _take_up(state: LoopState) -> None:
    """Brings the loop to where the run's last worker left it: what had not ended in its events is done again."""
    job = state.job
    logged = (entry.dagster_event for entry in job.instance.all_logs(job.run_id))
    before = [event for event in logged if event is not None and event.is_step_event]
    for step in state.active.rebuild_from_events(before):
        (state.held if step.tags.get(FINAL_TAG) else state.again).append(step)
    state.failed = any(event.is_step_failure for event in before)


def _cancelled(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> list[str]:
    wanted = dg.RunsFilter(run_ids=list(run_ids), statuses=list(_CANCELLED))
    return [run.run_id for run in instance.get_runs(wanted)]


def _finals(plan: ExecutionPlan) -> int:
    return sum(1 for step in plan.get_steps_to_execute_in_topo_order() if step.tags.get(FINAL_TAG))


def _nothing_pending(active: ActiveExecution) -> bool:
    waiting: tuple[Any, ...] = (
        active._pending,
        active._executable,
        active._pending_skip,
        active._pending_retry,
        active._pending_abandon,
        active._waiting_to_retry,
    )
    return not any(waiting)


@dg.executor(
    name="maestro",
    config_schema={
        "max_concurrent": dg.Field(
            dg.Noneable(int), default_value=None, description="Steps at once; twice the processors when not given."
        )
    },
)
def maestro_executor(init_context: InitExecutorContext) -> ConcurrentExecutor:
    """Runs the steps of a run concurrently in one process."""
    wanted = init_context.executor_config.get("max_concurrent")
    return ConcurrentExecutor(RetryMode.ENABLED, wanted if isinstance(wanted, int) else default_concurrency())


def default_concurrency() -> int:
    """Twice the processors: steps mostly wait for a subprocess."""
    return max(4, 2 * (os.cpu_count() or 2))
