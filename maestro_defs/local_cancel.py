"""Cancels a run from the machine its Dagster instance is on."""

from __future__ import annotations

import signal
import time

import psutil
from dagster import DagsterInstance
from dagster._core.errors import DagsterError

from maestro.errors import InputError, MaestroError
from maestro.runs.event import RunRecord
from maestro.runs.process import process_of
from maestro.runs.view import FINISHED

STOP_SECONDS = 30.0
_UNREACHABLE_SECONDS = 5.0
_POLL_SECONDS = 0.05


def cancel_run(instance: DagsterInstance, record: RunRecord, *, force: bool) -> None:
    """Stops a run and waits until it has ended.

    Raises:
        InputError: it has ended already.
        MaestroError: its process cannot be reached, or does not stop.
    """
    if record.state in FINISHED:
        raise already_ended(record)
    if record.process is not None:
        _cancel_foreground(instance, record, record.process, force=force)
    elif force:
        _mark(instance, record, "Marked as cancelled by force.")
    else:
        _cancel_launched(instance, record)


def already_ended(record: RunRecord) -> InputError:
    """Nothing to cancel."""
    return InputError(
        f"run {record.run_id} has already ended: it {_ended(record)}",
        next_step="list the runs with `maestro status`",
    )


def _ended(record: RunRecord) -> str:
    return "was cancelled" if record.state == "cancelled" else record.state


def _cancel_foreground(instance: DagsterInstance, record: RunRecord, mark: str, *, force: bool) -> None:
    try:
        process = process_of(mark)
    except ValueError:
        if force:
            # Its process looks at its run from time to time and stops.
            _mark(instance, record, "Marked as cancelled by force, from another machine.")
            return
        raise MaestroError(
            f"run {record.run_id} is carried out on {mark.split(' ', 1)[0]}",
            next_step="cancel it there, or mark it as cancelled with --force",
        ) from None
    if process is None:
        _mark(instance, record, "Its process ended without a word.")
        return
    if not force:
        run = instance.get_run_by_id(record.run_id)
        if run is not None and not run.is_finished:
            instance.report_run_canceling(run, message="Cancelled on the command line.")
    try:
        process.send_signal(signal.SIGKILL if force else signal.SIGTERM)
        if force:
            process.wait(_UNREACHABLE_SECONDS)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        raise MaestroError(
            f"process {process.pid} of run {record.run_id} does not end", next_step="look at it with `ps`"
        ) from None
    except psutil.AccessDenied:
        raise MaestroError(
            f"process {process.pid} of run {record.run_id} belongs to another user",
            next_step="cancel the run as that user",
        ) from None
    if force:
        _mark(instance, record, "Killed on the command line.")
    elif not _wait(instance, record, STOP_SECONDS, process):
        raise did_not_stop(record.run_id)


def _cancel_launched(instance: DagsterInstance, record: RunRecord) -> None:
    reason = "the server that launched it is not known"
    patience = _UNREACHABLE_SECONDS
    try:
        if instance.run_coordinator.cancel_run(record.run_id):
            patience = STOP_SECONDS
    except DagsterError as error:
        reason = f"the server that launched it does not answer ({type(error).__name__})"
    if _wait(instance, record, patience):
        return
    if patience == STOP_SECONDS:
        raise did_not_stop(record.run_id)
    raise MaestroError(
        f"run {record.run_id} cannot be reached: {reason}",
        next_step="start the server again (`maestro dev`), or mark the run as cancelled with --force",
    )


def did_not_stop(run_id: str) -> MaestroError:
    """It was asked to, and still runs."""
    return MaestroError(
        f"run {run_id} was asked to stop but has not within {STOP_SECONDS:g} s",
        next_step="wait for its compensations and finally steps, or end it with --force",
    )


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
