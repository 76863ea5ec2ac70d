"""What is said when a run cannot be stopped."""

from __future__ import annotations

from maestro.errors import InputError, MaestroError
from maestro.runs.event import RunRecord

STOP_SECONDS = 30.0
"""How long a run may take to stop before the wait is given up."""


def already_ended(record: RunRecord) -> InputError:
    """There is nothing to cancel."""
    ended = "was cancelled" if record.state == "cancelled" else record.state
    return InputError(
        f"run {record.run_id} has already ended: it {ended}", next_step="list the runs with `maestro status`"
    )


def did_not_stop(run_id: str) -> MaestroError:
    """It was asked to, and still runs."""
    return MaestroError(
        f"run {run_id} was asked to stop but has not within {STOP_SECONDS:g} s",
        next_step="wait for its compensations and finally steps, or end it with --force",
    )
