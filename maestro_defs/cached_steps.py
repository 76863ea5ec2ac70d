"""Steps whose results the planner found in the cache, told to Dagster without its generator.

For every step Dagster sets up compute, type checks, output contexts and IO managers; restoring a cached result needs
none of them, and for a run that is all cached they are most of the time it takes. A thread of the executor restores
the result; then the events Dagster would have made are made here, in its order, by its own constructors. Whatever is
not a plain hit (the entry is gone or corrupt, it is large, hooks want to see the step) goes the usual way.

Private seams used, pinned by tests/integration/test_dagster_seams.py: ``PlanExecutionContext.for_step``,
``StepExecutionContext.fetch_external_input_asset_version_info``, ``_get_output_asset_events``,
``AssetCheckResult.to_asset_check_evaluation``, the constructors of ``DagsterEvent``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.definition.asset_spec import AssetExecutionType
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanExecutionContext, StepExecutionContext
from dagster._core.execution.plan.execute_step import _get_output_asset_events
from dagster._core.execution.plan.objects import StepSuccessData, TypeCheckData
from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep
from dagster._utils.warnings import disable_dagster_warnings

from maestro.artifacts import StepRecord
from maestro.execution.log import StepLog
from maestro.execution.session import RunSession
from maestro.execution.step import restore_step
from maestro.workflow.graph import Node
from maestro_defs.connections import collected
from maestro_defs.names import op_names
from maestro_defs.results import materialize_result
from maestro_defs.step_logs import StepLogs

_MOST_BYTES = 16 * 1024 * 1024
"""What takes longer than a moment to restore is seen to run, from its start."""
_AT_HAND_BYTES = 256 * 1024
"""What is restored sooner than a thread is asked to do it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A step whose result is back in the workspace; Dagster has not been told."""

    step: ExecutionStep
    known: KnownExecutionState
    node: Node
    record: StepRecord
    seconds: float


@dataclass(frozen=True, slots=True)
class _Begun:
    """A step Dagster has been told to have made its asset; ``seconds`` is what it took so far."""

    context: StepExecutionContext
    result: dg.MaterializeResult[None]
    seconds: float


class CachedSteps:
    """The steps of one run that its plan found in the cache.

    Args:
        session: None for a job that is not a workflow's; then there are none.
    """

    def __init__(self, job: PlanExecutionContext, session: RunSession | None, logs: StepLogs) -> None:
        self._job = job
        self._session = session
        self._logs = logs
        self._nodes: dict[str, Node] = {}
        if session is not None and session.request.cached and job.output_capture is None:
            keys = op_names(session.graph)
            self._nodes = {keys[node.name]: node for node in session.graph if node.name in session.request.cached}

    def restore_at_hand(self, step: ExecutionStep, known: KnownExecutionState) -> Restored | None:
        """``restore``, but only from a folder, and little; for who must not be kept waiting."""
        if step.key not in self._nodes or self._session is None or self._session.store.objects.folder is None:
            return None
        return self.restore(step, known, most_bytes=_AT_HAND_BYTES)

    def restore(
        self, step: ExecutionStep, known: KnownExecutionState, *, most_bytes: int = _MOST_BYTES
    ) -> Restored | None:
        """Brings back the result of ``step``; None when the step must be carried out as any other."""
        node = self._nodes.get(step.key)
        if node is None or not self._plain(step) or known.get_retry_state().get_attempt_count(step.key):
            return None
        assert self._session is not None
        began = time.perf_counter()
        try:
            with closing(StepLog(self._logs.path(step.key), self._session.masker)) as log:
                record = restore_step(self._session, node, log, most_bytes=most_bytes)
        except Exception:  # noqa: BLE001 - the usual way meets it again, and says so as for any step
            return None
        if record is None or not record.passed:
            return None
        self._logs.complete(step.key)
        return Restored(step, known, node, record, time.perf_counter() - began)

    def _plain(self, step: ExecutionStep) -> bool:
        """Whether the step makes its asset and the check of it, and nobody listens in."""
        outputs = [one.properties for one in step.step_outputs]
        return (
            len(outputs) == 2
            and outputs[0].asset_key is not None
            and outputs[1].asset_check_key is not None
            and not self._job.job_def.get_all_hooks_for_handle(step.node_handle)
            and self._logs.path(step.key) is not None
        )

    def events(self, restored: Sequence[Restored]) -> list[DagsterEvent]:
        """Makes and stores the events of steps that were restored; those of each step in Dagster's order.

        They are collected and then written in one go, twice: the check of a step reads back what its asset has become.
        A transaction held meanwhile would wait for the logging lock of a thread that, logging too, waits for it.
        """
        told: list[DagsterEvent] = []
        with collected(self._job.instance):
            begun = [self._begin(one, told) for one in restored]
        with collected(self._job.instance):
            for one in begun:
                told += self._checked(one)
        return told

    def _begin(self, restored: Restored, told: list[DagsterEvent]) -> _Begun:
        """Tells that the step has started and what it made."""
        assert self._session is not None
        step, node = restored.step, restored.node
        context = self._job.for_step(step, restored.known)
        began = time.perf_counter()
        told.append(self._logs.captured(self._job, step.key))
        told.append(DagsterEvent.step_start_event(context))
        context.fetch_external_input_asset_version_info()
        result = materialize_result(restored.record, node, self._session.registry.get(node.step.run))
        output, _ = step.step_outputs
        asset: dg.Output[None]
        with disable_dagster_warnings():  # As Dagster does where it makes this very object.
            asset = dg.Output(None, output.name, metadata=result.metadata, data_version=result.data_version)
        told.append(_output_event(context, output.name, asset.metadata))
        told += _materialized(context, output.properties.asset_key, asset)
        return _Begun(context, result, restored.seconds + time.perf_counter() - began)

    @staticmethod
    def _checked(begun: _Begun) -> Iterator[DagsterEvent]:
        """Tells how the step's check went, and that it has succeeded."""
        context, began = begun.context, time.perf_counter()
        _, check_output = context.step.step_outputs
        yield _output_event(context, check_output.name, {})
        (check,) = begun.result.check_results or ()
        yield DagsterEvent.asset_check_evaluation(context, check.to_asset_check_evaluation(context))
        seconds = begun.seconds + time.perf_counter() - began
        success = StepSuccessData(duration_ms=seconds * 1000)  # type: ignore[no-untyped-call] # Dagster's is.
        yield DagsterEvent.step_success_event(context, success)


def _materialized(
    context: StepExecutionContext, key: dg.AssetKey | None, output: dg.Output[None]
) -> Iterator[DagsterEvent]:
    assert key is not None
    definition, kind = context.op_def.output_def_named(output.output_name), AssetExecutionType.MATERIALIZATION
    for made in _get_output_asset_events(key, [context.partition_key], output, definition, {}, context, kind):
        assert isinstance(made, dg.AssetMaterialization)
        yield DagsterEvent.asset_materialization(context, made)


def _output_event(context: StepExecutionContext, name: str, metadata: Any) -> DagsterEvent:
    handle = StepOutputHandle(step_key=context.step.key, output_name=name, mapping_key=None)
    passed = TypeCheckData(success=True, label=name, description=None, metadata={})  # type: ignore[no-untyped-call] # Dagster's is.
    return DagsterEvent.step_output_event(context, StepOutputData(handle, type_check_data=passed, metadata=metadata))
