"""Asks a run on another machine to stop: what its worker sees is the run's status."""

from __future__ import annotations

import dagster as dg

from maestro.server.leases import Leases
from maestro_defs.cluster.claims import claim_of


def ask_to_stop(instance: dg.DagsterInstance, leases: Leases, run_id: str) -> bool:
    """Marks the run, so that its worker stops it; ends it when it has none.

    Returns:
        False when it has ended already.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    if run.status != dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceling(run)
    # In this order: a worker that claims the run only now sees that it is to stop.
    if claim_of(leases, run_id) is None:
        instance.report_run_canceled(run, "Cancelled; no worker had it.")
    return True
