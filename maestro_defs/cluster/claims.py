"""Claims: of all workers that are told to carry out a run, one does."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import dagster as dg

from maestro.server.leases import Holding, Leases

CLAIM_SECONDS = 15.0
"""How long a run stays claimed by a worker that is not heard of any more."""
WORKER_TAG = "maestro/worker"
"""On a run: the worker that has or had it, ``host pid``, or ``waiting SECONDS`` since when it waits for one."""
_WAITING = "waiting"


def claim_of(leases: Leases, run_id: str) -> Holding | None:
    """Which living worker has the run; None when none has.

    Raises:
        MaestroError: the database does not answer.
    """
    return leases.holding(claim_name(run_id))


def claim_name(run_id: str) -> str:
    """Name of the lease on a run."""
    return f"run/{run_id}"


def this_worker() -> str:
    """This process, for people."""
    return f"{os.uname().nodename} {os.getpid()}"


@dataclass(frozen=True, slots=True)
class Worker:
    """What is written on a run about its worker.

    Args:
        name: the worker; None: it waits for one.
        waits: seconds it has waited; 0 when it does not.
    """

    name: str | None
    waits: float = 0.0


def worker_of(run: dg.DagsterRun) -> Worker:
    """Reads the tag of ``run``, as it was when it was read from the storage."""
    told = run.tags.get(WORKER_TAG, "")
    state, _, since = told.partition(" ")
    if state != _WAITING:
        return Worker(told or None)
    try:
        return Worker(None, max(0.0, time.time() - float(since)))
    except ValueError:
        return Worker(None)


def note_waiting(instance: dg.DagsterInstance, run_id: str) -> None:
    """Writes on the run that it waits for a worker from now on."""
    instance.add_run_tags(run_id, {WORKER_TAG: f"{_WAITING} {time.time():.0f}"})


def note_worker(instance: dg.DagsterInstance, run_id: str) -> None:
    """Writes on the run that this process carries it out."""
    instance.add_run_tags(run_id, {WORKER_TAG: this_worker()})
