"""Dagster's run launcher of profile ``cluster``: dagster-celery's, with Maestro's own task.

The task carries a run's id. Whether a run has a worker is asked of the database, by its claim, and never of Celery.

Private seam used, pinned by tests/integration/test_cluster.py: ``CeleryRunLauncher._launch_celery_task_run``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, ResumeRunContext, WorkerStatus
from dagster._serdes.config_class import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher

from maestro.server.home import find_server
from maestro.server.leases import Leases
from maestro_defs.cluster.app import QUEUE, TASK, celery_settings, waiting_messages
from maestro_defs.cluster.claims import claim_of, note_waiting, worker_of
from maestro_defs.cluster.sources import send_source
from maestro_defs.cluster.stopping import ask_to_stop
from maestro_defs.launcher import DrainingError
from maestro_defs.server import Server

_log = logging.getLogger(__name__)
TAKING_SECONDS = 60.0
"""What a worker may take between taking a message and claiming its run."""


class BrokerUnavailableError(DrainingError):
    """The broker takes nothing now; runs wait in the coordinator's queue until it does."""


class ClusterLauncher(CeleryRunLauncher):
    """Has a worker of the cluster carry out each run.

    Args:
        broker: URL of Redis, or another broker Celery knows.
        home: the server's home; what ``MAESTRO_SERVER_HOME`` says when not given.
        queue: where runs wait for a worker.
    """

    def __init__(
        self,
        broker: str,
        home: str | None = None,
        queue: str = QUEUE,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._folder = home
        super().__init__(
            default_queue=queue, broker=broker, include=[], config_source=celery_settings(queue), inst_data=inst_data
        )

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """``broker`` and ``home``: text, or ``env``."""
        return {
            "broker": dg.Field(dg.StringSource),
            "home": dg.Field(dg.StringSource, is_required=False),
            "queue": dg.Field(dg.StringSource, is_required=False),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> ClusterLauncher:
        """As ``dagster.yaml`` says."""
        return cls(inst_data=inst_data, **config_value)

    @cached_property
    def _server(self) -> Server:
        return Server(find_server(self._folder))

    @cached_property
    def _leases(self) -> Leases:
        return Leases(self._server.engine)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Returns once the broker has the run, and the artifact store its source.

        Raises:
            BrokerUnavailableError: the broker cannot be reached; MaestroError: the store cannot, or the mirror does not
                have the revision.
        """
        run = context.dagster_run
        send_source(self._server, self._instance, run)
        self._send(run)

    def resume_run(self, context: ResumeRunContext) -> None:
        """Returns once the broker has the run.

        Raises:
            BrokerUnavailableError: it cannot be reached.
        """
        self._send(context.dagster_run)

    def _send(self, run: dg.DagsterRun) -> None:
        note_waiting(self._instance, run.run_id)
        signature = self.celery.signature(TASK, args=(run.run_id,), immutable=True)
        try:
            self._launch_celery_task_run(run=run, task_signature=signature, routing_key=TASK)
        except Exception as error:
            # Its kind only: what it says may hold the broker's address, with the password.
            raise BrokerUnavailableError(
                f"run {run.run_id} waits: the broker does not take it ({type(error).__name__})",
                next_step="check that it runs and that `broker` of the run launcher is right",
            ) from error

    def terminate(self, run_id: str) -> bool:
        """Asks the run to stop; its worker sees it within seconds.

        Returns:
            False when it has ended already.
        """
        return ask_to_stop(self._instance, self._leases, run_id)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether a living worker has the run, or it still waits for one."""
        claim = claim_of(self._leases, run.run_id)
        if claim is not None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=claim.holder)
        # Read anew: what is written on a run changes with each worker.
        worker = worker_of(self._instance.get_run_by_id(run.run_id) or run)
        if worker.name is None and worker.waits < TAKING_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "It waits for a worker.")
        try:
            waiting = waiting_messages(self.celery, self.default_queue)
        except Exception as error:  # noqa: BLE001 - brokers have errors of many kinds
            # Nobody can be told to resume it now, and each attempt would count.
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"The broker does not answer ({type(error).__name__}).")
        if worker.name is not None:
            return CheckRunHealthResult(WorkerStatus.FAILED, f"Its worker, {worker.name}, is not heard of any more.")
        if waiting:
            return CheckRunHealthResult(
                WorkerStatus.RUNNING, f"It waits for a worker; messages in the queue: {waiting}."
            )
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "No worker has taken it up, and the queue is empty.")

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Where the run's worker is, or was."""
        worker = worker_of(run)
        return f"worker: {worker.name}" if worker.name else None
