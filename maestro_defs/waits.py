"""Writes on queued runs what they wait for, beside the rounds of admission and never in their way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from dagster import DagsterInstance, DagsterRun

from maestro.runs.tags import WAITS_TAG

_log = logging.getLogger(__name__)


class WaitingReasons:
    """Keeps the tag ``maestro/waits`` of queued runs, each written when its reason changed.

    Dagster writes a tag by reading the run and writing all of it, so a run whose worker writes too must not be written
    here: before a run is launched or cancelled it is taken out with ``forget``.
    """

    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance
        self._said: dict[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._writing: str | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, name="waiting reasons", daemon=True)
        self._thread.start()

    def want(self, blocked: Mapping[str, str], runs: Mapping[str, DagsterRun]) -> None:
        """What each queued run waits for from now on; runs not in it are queued no more."""
        with self._changed:
            said = {run_id: self._said.get(run_id, runs[run_id].tags.get(WAITS_TAG, "")) for run_id in blocked}
            self._said = said
            self._wanted = {run_id: reason for run_id, reason in blocked.items() if said[run_id] != reason}
            self._changed.notify_all()

    def forget(self, run_id: str) -> None:
        """Writes nothing more about the run, once this returns."""
        with self._changed:
            self._wanted.pop(run_id, None)
            self._said.pop(run_id, None)
            self._changed.wait_for(lambda: self._writing != run_id)

    def settle(self) -> None:
        """Waits until everything is written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._wanted and self._writing is None)

    def close(self) -> None:
        """Writes nothing more."""
        with self._changed:
            self._closed = True
            self._wanted.clear()
            self._changed.notify_all()
        self._thread.join()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._writing = None
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._wanted) or self._closed)
                if self._closed:
                    return
                run_id, reason = next(iter(self._wanted.items()))
                del self._wanted[run_id]
                self._writing = run_id
                # Noted whether or not it can be written: one that cannot is no reason to try for ever.
                self._said[run_id] = reason
            try:
                self._instance.add_run_tags(run_id, {WAITS_TAG: reason})
            except Exception:  # noqa: BLE001 - a sentence that is missing must not stop the queue
                _log.warning("What run %s waits for cannot be written down", run_id, exc_info=True)
