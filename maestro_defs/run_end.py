"""What a run does at its end, whatever happened: stop what runs, undo what is to be undone, close the session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.context.system import PlanExecutionContext
from dagster._core.storage.dagster_run import DagsterRunStatus

from maestro.execution.compensate import Compensation, compensations, told, undo
from maestro.execution.session import RunSession
from maestro.runs.process import is_of_this_process, process_mark
from maestro.runs.tags import ENDED_TAG, LOCAL_TAG, PROCESS_TAG, PROJECT_TAG, WORKFLOW_TAG
from maestro_defs.step_logs import StepLogs
from maestro_defs.stops import stop_of
from resources.delivery import SESSION, unpublished


def session_of(job: PlanExecutionContext) -> RunSession | None:
    """The run's session, when its job is a compiled workflow."""
    resources = job.scoped_resources_builder.resource_instance_dict
    session = resources.get(SESSION)
    return session if isinstance(session, RunSession) else None


class RunEnd:
    """Ends one run properly.

    Args:
        session: None for a job that is not a workflow's; then there is nothing to undo.
    """

    def __init__(self, job: PlanExecutionContext, session: RunSession | None, logs: StepLogs) -> None:
        self._job = job
        self._session = session
        self._logs = logs
        self._started = time.monotonic()
        self.aborted = False

    def introduce(self) -> None:
        """Writes on the run which process carries it out and what it is about.

        A run started from the UI carries neither, one that was executed again carries the mark of the first.
        """
        wanted = {PROCESS_TAG: process_mark()}
        if self._session:
            wanted[PROJECT_TAG] = self._session.project_name
            wanted[WORKFLOW_TAG] = self._session.loaded.workflow.name
        tags = self._job.dagster_run.tags
        missing = {name: value for name, value in wanted.items() if tags.get(name) != value}
        if missing:
            self._job.instance.add_run_tags(self._job.run_id, missing)

    def timed_out(self) -> str | None:
        """Why the run must stop, once it has taken longer than the workflow's ``timeout``."""
        limit = self._session.loaded.workflow.timeout if self._session else None
        if limit is None or time.monotonic() - self._started < limit:
            return None
        return f"the run took longer than its timeout of {limit:g} s"

    def stop_main_steps(self, *, signalled: bool) -> None:
        """Stops what runs; a signal to a worker, or to a run started from the command line, is a cancellation."""
        job = self._job
        own = stop_of(job.run_id) is not None or is_of_this_process(job.dagster_run.tags.get(LOCAL_TAG))
        if signalled and own:
            run = job.instance.get_run_by_id(job.run_id)
            if run is not None and run.status == DagsterRunStatus.STARTED:
                job.instance.report_run_canceling(run, message="Cancelled by a signal.")
        if self._session:
            self._session.stop.set()

    def abort(self) -> None:
        """Stops everything, final steps and compensations too."""
        self.aborted = True
        if self._session:
            self._session.stop.set()
            self._session.abort.set()

    def compensate(self, *, needed: bool) -> Iterator[DagsterEvent]:
        """Undoes finished steps in reverse order; each outcome is an event of this run."""
        if not needed or self._session is None:
            return
        for compensation in compensations(self._session):
            if self.aborted:
                return
            yield self._undo(compensation)

    def _undo(self, compensation: Compensation) -> DagsterEvent:
        assert self._session is not None
        key = f"{compensation.node.name.replace('/', '__')}__compensate"
        result = undo(self._session, compensation, self._logs.path(key))
        self._logs.complete(key)
        metadata: dict[str, Any] = {
            "step": dg.MetadataValue.text(compensation.node.name),
            "undone": dg.MetadataValue.bool(result.passed),
            "log": dg.MetadataValue.text("/".join(self._logs.key(key))),
        }
        return DagsterEvent.engine_event(self._job, told(compensation, result), EngineEventData(metadata=metadata))

    def seal(self) -> Iterator[DagsterEvent]:
        """Signs what the run has logged; an event says so when that does not get into the vault."""
        problem = self._session.seal() if self._session else None
        if problem is not None:
            yield DagsterEvent.engine_event(self._job, *unpublished(problem))

    def done(self) -> None:
        """Notes on the run that everything a run does at its end has been done."""
        if self._session and not self.aborted:
            self._job.instance.add_run_tags(self._job.run_id, {ENDED_TAG: "yes"})

    def close(self) -> None:
        """Nothing of this run is left running."""
        if self._session:
            self._session.close()
