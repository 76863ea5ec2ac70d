"""A machine of the cluster: takes runs from the broker and has its own warm server carry them out."""

from __future__ import annotations

import logging
import time

import dagster as dg
from celery import Celery  # type: ignore[import-untyped]  # Celery has no annotations.
from celery.exceptions import Reject  # type: ignore[import-untyped]  # see above
from dagster._core.launcher.base import LaunchRunContext, ResumeRunContext

from maestro.server.home import ServerHome
from maestro.server.leases import Leases
from maestro_defs.cluster.app import TASK
from maestro_defs.cluster.body import BODY
from maestro_defs.cluster.claims import claim_of
from maestro_defs.launcher import DrainingError, WarmLauncher
from maestro_defs.warm.records import Records

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2


class Node:
    """Carries out runs on this machine.

    Args:
        instance: Dagster's, used by several threads.
        leases: of the server's database.
    """

    def __init__(self, home: ServerHome, instance: dg.DagsterInstance, leases: Leases) -> None:
        self._records = Records(home)
        self._instance = instance
        self._leases = leases
        self._launcher = WarmLauncher(home=str(home.folder), body=BODY)
        self._launcher.register_instance(instance)

    def carry_out(self, run_id: str) -> None:
        """Returns when nothing of the run goes on here any more; does nothing when it has ended or is elsewhere.

        Raises:
            DrainingError: this machine takes no run any more.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        claim = claim_of(self._leases, run_id)
        if claim is not None:
            _log.info("run %s: %s has it", run_id, claim.holder)
            return
        if run.status == dg.DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, "Cancelled; no worker had it.")
            return
        if run.status == dg.DagsterRunStatus.STARTED:
            self._launcher.resume_run(ResumeRunContext(run, None))
        else:
            self._launcher.launch_run(LaunchRunContext(run, None))
        while (record := self._records.get(run_id)) is not None and record.going_on:
            time.sleep(_LOOK_SECONDS)


def serve(app: Celery, node: Node, queue: str, places: int) -> int:
    """Takes runs until it is told to stop, then returns once those it has are done with.

    Args:
        places: runs at once.
    """

    @app.task(name=TASK)  # type: ignore[untyped-decorator]  # Celery's is.
    def take(run_id: str) -> None:
        try:
            node.carry_out(run_id)
        except DrainingError as error:
            # Back to the broker, for another machine.
            raise Reject(str(error), requeue=True) from error

    worker = app.Worker(
        # Threads, since they only wait: each run has a process, forked by the warm server.
        pool="threads",
        concurrency=places,
        queues=[queue],
        loglevel=None,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
