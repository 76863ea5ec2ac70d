"""What a run tells of itself does not undo that somebody has cancelled it.

Dagster writes a run's new status over whatever it is by then. A run that is cancelled while its worker makes ready
would be shown as started, and in the end as failed; one that was marked as cancelled would be shown as ended otherwise.

Private seams used, pinned by tests/integration/test_kept_cancellations.py: ``SqlRunStorage.handle_run_event``,
``EVENT_TYPE_TO_PIPELINE_RUN_STATUS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dagster import DagsterEvent, DagsterInstance, DagsterRunStatus
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._time import get_current_datetime

from maestro.server.patience import patiently
from maestro_defs.run_moves import begin_run, status_of

_ENDS = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE)


@contextmanager
def kept_cancellations(instance: DagsterInstance) -> Iterator[None]:
    """Within the block, runs carried out with ``instance`` stay cancelled once they are."""
    storage: Any = instance.run_storage
    first: Callable[..., None] = storage.handle_run_event
    begin, status = patiently(begin_run), patiently(status_of)

    def handle(run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        after = EVENT_TYPE_TO_PIPELINE_RUN_STATUS.get(event.event_type)
        if after == DagsterRunStatus.STARTED:
            begin(instance, run_id, update_timestamp or get_current_datetime())
        elif after not in _ENDS or status(instance, run_id) != DagsterRunStatus.CANCELED:
            first(run_id, event, update_timestamp)

    own = "handle_run_event" in vars(storage)
    vars(storage)["handle_run_event"] = handle
    try:
        yield
    finally:
        if own:
            vars(storage)["handle_run_event"] = first
        else:
            del vars(storage)["handle_run_event"]
