"""What a step's result says of itself where it comes from the cache: nothing was spent this time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from maestro.artifacts import StepRecord
from maestro.steps import StepKind


def reused(record: StepRecord, kind: StepKind[Any]) -> StepRecord:
    """What another run made, as whoever uses it again sees it; still with that run's names and times.

    What the statements about the result are bound to, its summary among it, stays as it was made.
    """
    return replace(record, cache="hit", cost_usd=0.0, metadata=dict(kind.reused(record.summary, record.metadata)[1]))
