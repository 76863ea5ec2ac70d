"""Cancels a run from the machine its Dagster instance is on."""

from __future__ import annotations

import signal
import time

import psutil
from dagster import DagsterError, DagsterInstance

from maestro.errors import MaestroError
from maestro.runs.event import RunRecord
from maestro.runs.fold import is_lost
from maestro.runs.process import process_of
from maestro.runs.stopping import STOP_SECONDS, already_ended, did_not_stop
from maestro.runs.view import FINISHED

_UNREACHABLE_SECONDS = 5.0
_POLL_SECONDS = 0.05


def cancel_run(
    instance: DagsterInstance, record: RunRecord, *, force: bool, unreachable: float = _UNREACHABLE_SECONDS
) -> None:
    """Stops a run and waits until it has ended.

    Args:
        unreachable: seconds to wait for one whose launcher does not answer; its process may see that it is cancelled.

    Raises:
        InputError: it has ended already.
        MaestroError: its process cannot be reached, or does not stop.
    """
    if record.state in FINISHED:
        raise already_ended(record)
    if is_lost(record):
        _mark(instance, record, "Its process ended without a word.")
    elif force:
        _end(instance, record)
    elif record.foreground:
        _cancel_foreground(instance, record)
    else:
        _cancel_launched(instance, record, unreachable)


def _end(instance: DagsterInstance, record: RunRecord) -> None:
    """Kills its process when that is here; one elsewhere looks at its run from time to time and stops."""
    process = _process(record)
    if process is not None:
        _signal(process, record, signal.SIGKILL)
        try:
            process.wait(_UNREACHABLE_SECONDS)
        except psutil.TimeoutExpired:
            raise MaestroError(
                f"process {process.pid} of run {record.run_id} does not end", next_step="look at it with `ps`"
            ) from None
    _mark(instance, record, "Ended by force, on the command line.")


def _cancel_foreground(instance: DagsterInstance, record: RunRecord) -> None:
    process = _process(record)
    if process is None:
        host = (record.process or "another machine").split(" ", 1)[0]
        raise MaestroError(
            f"run {record.run_id} is carried out on {host}",
            next_step="cancel it there, or mark it as cancelled with --force",
        )
    run = instance.get_run_by_id(record.run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceling(run, message="Cancelled on the command line.")
    _signal(process, record, signal.SIGTERM)
    if not _wait(instance, record, STOP_SECONDS, process):
        raise did_not_stop(record.run_id)


def _cancel_launched(instance: DagsterInstance, record: RunRecord, unreachable: float) -> None:
    process = _process(record)
    try:
        asked = instance.run_coordinator.cancel_run(record.run_id)
        reason = "the server that launched it is not known"
    except DagsterError as error:
        asked, reason = False, f"the server that launched it does not answer ({type(error).__name__})"
    if not asked and process is not None:
        _signal(process, record, signal.SIGTERM)
        asked = True
    if _wait(instance, record, STOP_SECONDS if asked else unreachable, process):
        return
    if asked:
        raise did_not_stop(record.run_id)
    raise MaestroError(
        f"run {record.run_id} cannot be reached: {reason}",
        next_step="start the server again (`maestro dev`), or mark the run as cancelled with --force",
    )


def _process(record: RunRecord) -> psutil.Process | None:
    """Its process, when that is on this machine."""
    try:
        return process_of(record.process) if record.process else None
    except ValueError:
        return None


def _signal(process: psutil.Process, record: RunRecord, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise MaestroError(
            f"process {process.pid} of run {record.run_id} belongs to another user",
            next_step="cancel the run as that user",
        ) from None


def _wait(instance: DagsterInstance, record: RunRecord, seconds: float, process: psutil.Process | None = None) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        gone = process is not None and not _runs(process)
        run = instance.get_run_by_id(record.run_id)
        if run is None or run.is_finished:
            return True
        if gone:
            _mark(instance, record, "Its process ended without a word.")
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _mark(instance: DagsterInstance, record: RunRecord, message: str) -> None:
    run = instance.get_run_by_id(record.run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceled(run, message=message)
