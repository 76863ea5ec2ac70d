"""What a worker on another machine does for a run: claims it, gets its source, carries it out.

The process ends at once when it loses its claim: another worker may have the run by then, and two must not write of it.
Nothing of the run's steps survives, since they end with their worker.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from maestro.server.home import ServerHome
from maestro.server.leases import Held, Leases
from maestro_defs.cluster.claims import CLAIM_SECONDS, claim_name, note_worker, this_worker
from maestro_defs.cluster.sources import receive_source
from maestro_defs.run_worker import carry_out as carry_out_here
from maestro_defs.run_worker import preload
from maestro_defs.server import Server

__all__ = ["BODY", "carry_out", "preload"]
BODY = "maestro_defs.cluster.body:carry_out"
_log = logging.getLogger(__name__)


def carry_out(run_id: str, home: ServerHome, stop: threading.Event | None = None, *, resume: bool = False) -> None:
    """Carries out the run, unless it has ended or another worker has it.

    Raises:
        MaestroError: the server's storage cannot be used, or the run's source cannot be had.
    """
    server = Server(home)
    leases = Leases(server.engine)
    with leases.held(claim_name(run_id), this_worker(), CLAIM_SECONDS, patience=0) as held:
        if held is None:
            _log.warning("run %s: another worker has it", run_id)
            return
        with _ended_without(held), server.instance() as instance:
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                return
            note_worker(instance, run_id)
            try:
                receive_source(server, instance, run)
            except Exception as error:
                instance.report_run_failed(run, f"the source of the run cannot be had: {error}")
                raise
            carry_out_here(run_id, home, stop, resume=resume)


@contextmanager
def _ended_without(held: Held) -> Iterator[None]:
    """Within the block, this process is killed when the claim is lost."""
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if held.lost.wait(0.5) and not done.is_set():
                _log.error("%s was lost: this worker ends", held.lease.name)
                os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name=f"claim {held.lease.name}", daemon=True).start()
    try:
        yield
    finally:
        done.set()
