"""Rounds of admission: reads the queue, has ``maestro.admission`` decide, and carries it out.

Only one process does this at a time, under its lease. It may die anywhere:

- before a run is STARTING, the run is still queued;
- between that and its launch, the run is found STARTING with no worker after a while, and launched again;
- two that think they are the one cannot both take a run from the queue (``run_moves``), and a launcher that is asked
  twice for a run starts one worker.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.events import EngineEventData
from dagster._core.instance.config import PoolGranularity
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.workspace.context import BaseWorkspaceRequestContext
from dagster._utils.error import serializable_error_info_from_exc_info

from maestro.admission import Active, Admission, Limits, Waiting, admit
from maestro.errors import InputError
from maestro.runs.tags import LAUNCHES_TAG
from maestro.server.settings import LimitSettings
from maestro_defs.group_order import positions
from maestro_defs.launcher import DrainingError
from maestro_defs.queue_facts import Facts, FactsOfRuns, limits_of
from maestro_defs.run_moves import CANCELLED, Standing, cancel_in_queue, fail_unlaunched, move_run, standings, status_of
from maestro_defs.waits import WaitingReasons

_log = logging.getLogger(__name__)
_QUEUED, _STARTING = DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING
_STARTED, _CANCELING = DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING
_LOOKED_AT = (_QUEUED, _STARTING, _STARTED, _CANCELING)
_DRAINING = "waits until the launcher, which is stopping, takes runs again"
_NO_WORKER = (WorkerStatus.NOT_FOUND, WorkerStatus.FAILED, WorkerStatus.SUCCESS)


@dataclass(frozen=True, slots=True)
class LaunchRules:
    """How launches are tried.

    Args:
        at_once: launches under way at the same time.
        attempts: after so many failed ones the run fails.
        pause: seconds before the second attempt; doubled for each further one.
        grace: seconds a run may be STARTING, or CANCELING, before it is looked after.
        draining: seconds until a launcher that takes no runs is asked again.
    """

    at_once: int = 8
    attempts: int = 5
    pause: float = 2.0
    grace: float = 10.0
    draining: float = 3.0


class Admissions:
    """Admits queued runs, round by round; close it when done.

    Args:
        require: called before each launch and cancellation; raises when this process must not act any more, as
            ``Held.require`` does.

    Raises:
        InputError: the instance is set up to limit runs in ways that only Dagster's own coordinator keeps.
        MaestroError: it keeps its runs in something else than an SQL database.
    """

    def __init__(
        self, instance: DagsterInstance, rules: LaunchRules = LaunchRules(), require: Callable[[], None] = lambda: None
    ) -> None:
        _refuse_what_is_not_kept(instance)
        standings(instance, ())
        self._instance = instance
        self._rules = rules
        self._require = require
        self._facts = FactsOfRuns(instance)
        self._reasons = WaitingReasons(instance)
        self._pool = ThreadPoolExecutor(rules.at_once, thread_name_prefix="launch")
        self._lock = threading.Lock()
        self._busy: dict[str, Future[None]] = {}
        self._held: dict[str, tuple[float, str]] = {}
        self._since: dict[tuple[str, DagsterRunStatus], float] = {}
        self._asked_to_stop: dict[str, float] = {}
        self._draining_until = 0.0

    def round(self, workspace: BaseWorkspaceRequestContext | None, limits: Limits | LimitSettings) -> Admission:
        """Decides once about all queued runs and begins what follows; launches go on after it has returned.

        Args:
            workspace: what the launcher may look code locations up in; None for one that does not, as the warm one.

        Raises:
            DagsterError, sqlalchemy.exc.SQLAlchemyError: the storage does not answer.
        """
        limits = limits_of(limits) if isinstance(limits, LimitSettings) else limits
        now = time.monotonic()
        with self._lock:
            # Before the runs are read: what ends after this still counts as busy, and nothing is begun twice.
            busy = frozenset(self._busy)
        standing = standings(self._instance, _LOOKED_AT)
        facts = self._facts.of(standing)
        standing = [one for one in standing if one.run_id in facts]
        waiting, active = self._sorted(standing, facts, busy, now)
        decided = admit(waiting, active, limits)
        for run_id in decided.launch:
            self._begin(run_id, partial(self._launch, facts[run_id].run, workspace))
        for run_id, reason in decided.cancel:
            self._cancel(facts[run_id].run, reason, now)
        self._reasons.want(decided.blocked, {run_id: facts[run_id].run for run_id in decided.blocked})
        self._look_after(standing, facts, busy, workspace, now)
        return decided

    def settle(self) -> None:
        """Waits until everything that was begun is done."""
        while True:
            with self._lock:
                pending = list(self._busy.values())
            if not pending:
                break
            wait(pending)
        self._reasons.settle()

    def close(self) -> None:
        """Finishes what was begun; without the lease that is nothing."""
        self._pool.shutdown(wait=True)
        self._reasons.close()

    def _sorted(
        self, standing: list[Standing], facts: Mapping[str, Facts], busy: frozenset[str], now: float
    ) -> tuple[list[Waiting], list[Active]]:
        waiting: list[Waiting] = []
        active: list[Active] = []
        places = positions(facts.values())
        for one in standing:
            if one.status == _QUEUED and one.run_id not in busy:
                waiting.append(facts[one.run_id].waiting(self._why_held(one.run_id, now), places[one.run_id]))
            else:
                active.append(facts[one.run_id].active(one.status, places[one.run_id]))
        alive = {one.run_id for one in standing}
        with self._lock:
            self._held = {run_id: held for run_id, held in self._held.items() if run_id in alive}
        return waiting, active

    def _why_held(self, run_id: str, now: float) -> str | None:
        if self._draining_until > now:
            return _DRAINING
        until, reason = self._held.get(run_id, (now, ""))
        return reason if until > now else None

    def _begin(self, run_id: str, work: Callable[[], None]) -> None:
        """Does ``work`` for a run in the pool, unless something is being done for it already."""

        def done() -> None:
            try:
                self._require()
                work()
            except Exception:  # noqa: BLE001 - one run's trouble must not become the others'; it is looked at again
                _log.exception("Nothing could be done for run %s; it is tried again", run_id)
            finally:
                with self._lock:
                    self._busy.pop(run_id, None)

        with self._lock:
            if run_id not in self._busy:
                self._busy[run_id] = self._pool.submit(done)

    def _launch(self, run: DagsterRun, workspace: BaseWorkspaceRequestContext | None) -> None:
        self._reasons.forget(run.run_id)
        if move_run(self._instance, run, _QUEUED, _STARTING):
            self._start_worker(run, workspace)

    def _start_worker(self, run: DagsterRun, workspace: BaseWorkspaceRequestContext | None) -> None:
        starting = run.with_status(_STARTING)
        try:
            self._instance.run_launcher.launch_run(LaunchRunContext(starting, workspace))
        except Exception as error:  # noqa: BLE001 - whatever a launcher raises, the run must not be lost
            self._put_back(run.run_id, error)
            return
        status = status_of(self._instance, run.run_id)
        if status == _CANCELING:
            # Cancelled after it was taken from the queue and before the launcher knew it.
            self._instance.run_launcher.terminate(run.run_id)

    def _put_back(self, run_id: str, error: Exception) -> None:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.status != _STARTING:
            return  # It started all the same, or somebody cancelled it.
        if isinstance(error, DrainingError):
            with self._lock:
                self._draining_until = time.monotonic() + self._rules.draining
            move_run(self._instance, run, _STARTING, _QUEUED, _DRAINING)
            return
        attempts = _launches(run) + 1
        said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        details = EngineEventData.engine_error(serializable_error_info_from_exc_info(sys.exc_info()))
        self._instance.report_engine_event(f"The run could not be launched: {said}", run, details)
        self._instance.add_run_tags(run_id, {LAUNCHES_TAG: str(attempts)})
        if attempts >= self._rules.attempts:
            fail_unlaunched(self._instance, run, f"The run could not be launched in {attempts} attempts: {said}")
            return
        pause = self._rules.pause * 2.0 ** (attempts - 1)
        again = (datetime.now(UTC) + timedelta(seconds=pause)).strftime("%H:%M:%S UTC")
        reason = (
            f"waits until {again} to be launched again (attempt {attempts} of {self._rules.attempts} failed: {said})"
        )
        with self._lock:
            self._held[run_id] = (time.monotonic() + pause, reason)
        move_run(self._instance, run, _STARTING, _QUEUED, reason)

    def _cancel(self, run: DagsterRun, reason: str, now: float) -> None:
        if now - self._asked_to_stop.get(run.run_id, -self._rules.grace) < self._rules.grace:
            return
        self._asked_to_stop[run.run_id] = now
        self._begin(run.run_id, partial(self._supersede, run, f"{CANCELLED}: {reason}."))

    def _supersede(self, run: DagsterRun, message: str) -> None:
        self._reasons.forget(run.run_id)
        if cancel_in_queue(self._instance, run, message):
            return
        self._instance.report_engine_event(message, run)
        self._instance.run_launcher.terminate(run.run_id)

    def _look_after(
        self,
        standing: list[Standing],
        facts: Mapping[str, Facts],
        busy: frozenset[str],
        workspace: BaseWorkspaceRequestContext | None,
        now: float,
    ) -> None:
        """Runs that have been starting or stopping for long: is there a worker?"""
        since: dict[tuple[str, DagsterRunStatus], float] = {}
        for one in standing:
            if one.status not in (_STARTING, _CANCELING) or one.run_id in busy:
                continue
            key = one.run_id, one.status
            since[key] = self._since.get(key, now)
            if now - since[key] >= self._rules.grace:
                since[key] = now
                self._begin(one.run_id, partial(self._rescue, facts[one.run_id].run, one.status, workspace))
        self._since = since
        alive = {one.run_id for one in standing}
        self._asked_to_stop = {run_id: at for run_id, at in self._asked_to_stop.items() if run_id in alive}

    def _rescue(
        self, known: DagsterRun, status: DagsterRunStatus, workspace: BaseWorkspaceRequestContext | None
    ) -> None:
        launcher = self._instance.run_launcher
        run = self._instance.get_run_by_id(known.run_id)
        if run is None or run.status != status or not launcher.supports_check_run_worker_health:
            return  # Without a launcher that knows, Dagster's own monitoring ends such runs after its time.
        if launcher.check_run_worker_health(run).status not in _NO_WORKER:
            return
        if status == _CANCELING:
            self._instance.report_run_canceled(run, message="Cancelled; there was no process left to stop.")
            return
        if status_of(self._instance, run.run_id) != _STARTING:
            return  # Its worker began and ended while it was being asked for.
        attempts = _launches(run) + 1
        if attempts >= self._rules.attempts:
            fail_unlaunched(self._instance, run, f"The run was launched {attempts} times and no worker took it up.")
            return
        self._instance.add_run_tags(run.run_id, {LAUNCHES_TAG: str(attempts)})
        self._instance.report_engine_event("No worker has taken the run up; it is launched again.", run)
        self._start_worker(run, workspace)


def admit_queued(
    instance: DagsterInstance, workspace: BaseWorkspaceRequestContext | None, limits: Limits | LimitSettings
) -> Admission:
    """One round of admission, carried out when this returns; whoever does many keeps an ``Admissions``.

    Raises:
        InputError, MaestroError: as ``Admissions``.
    """
    admissions = Admissions(instance)
    try:
        decided = admissions.round(workspace, limits)
        admissions.settle()
        return decided
    finally:
        admissions.close()


def _launches(run: DagsterRun) -> int:
    told = run.tags.get(LAUNCHES_TAG, "0")
    return int(told) if told.isdecimal() else 0


def _refuse_what_is_not_kept(instance: DagsterInstance) -> None:
    if instance.get_concurrency_config().pool_config.pool_granularity == PoolGranularity.RUN:
        raise InputError(
            "pools are counted by run (concurrency.pools.granularity: run), which only Dagster's own coordinator does",
            next_step="set it to op in dagster.yaml",
        )
    if (instance.get_settings("concurrency") or {}).get("runs"):
        raise InputError(
            "runs are limited in dagster.yaml (concurrency.runs), which only Dagster's own coordinator looks at",
            next_step="set `limits` in server.yaml",
        )
