"""What is shown of a run, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

RunState: TypeAlias = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
StepState: TypeAlias = Literal["waiting", "running", "retrying", "passed", "cached", "warned", "failed", "skipped"]

FINISHED: frozenset[RunState] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of a run.

    Args:
        step: ``stage/id``, or ``stage/id/cell``.
        state: ``warned``: it failed, and ``continue_on_error`` let the run go on.
        summary: one line; why it failed or was skipped.
        attempts: how often it was started.
        started, ended: Unix seconds.
    """

    step: str
    state: StepState
    summary: str = ""
    attempts: int = 0
    started: float | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run.

    Args:
        resumes: the run it resumes, if any.
        compensations: one line for each step that was undone, or could not be.
        error: why it failed, when that is not a step's failure.
    """

    run_id: str
    project: str
    workflow: str
    revision: str
    state: RunState
    steps: tuple[StepView, ...] = ()
    resumes: str | None = None
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    params: Mapping[str, Any] | None = None
    compensations: tuple[str, ...] = ()
    error: str | None = None

    @property
    def finished(self) -> bool:
        """True when nothing more will happen."""
        return self.state in FINISHED

    def to_json(self) -> dict[str, Any]:
        """JSON types, for ``--json``."""
        return asdict(self)
