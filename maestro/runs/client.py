"""What can be asked of runs, the same on this machine and on a server (``maestro.remote``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from maestro.runs.view import RunView, StepView


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened in a run.

    Args:
        time: Unix seconds.
        step: the step it is about, as it is now; None when it is about the run.
        run: the run as it is now, when it is about the run.
        text: a line of the step's log, when it is one.
    """

    time: float
    step: StepView | None = None
    run: RunView | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A run to be started.

    Args:
        selection: names of nodes, as planned.
        resumes: the run it resumes.
    """

    project: str
    workflow: str
    revision: str
    selection: Sequence[str]
    params: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None
    resumes: str | None = None
    redo: Sequence[str] = ()
    assume_done: Sequence[str] = ()


class Runs(Protocol):
    """Runs of one project.

    Every ``run_id`` may be ``latest`` or the first characters of an id, if only one run begins so; InputError says
    when none or several do.
    """

    def list(self, limit: int) -> list[RunView]:
        """The newest runs first, without their steps."""
        ...

    def get(self, run_id: str) -> RunView:
        """One run with its steps."""
        ...

    def follow(self, run_id: str, *, steps: Sequence[str] = (), logs: bool = True) -> Iterator[News]:
        """What has happened and what happens, in order, until the run ends."""
        ...

    def log(self, run_id: str, step: str) -> Iterator[bytes]:
        """What a step has written so far."""
        ...

    def cancel(self, run_id: str, *, force: bool = False) -> RunView:
        """Asks the run to stop and waits until it has; ``force`` marks it as cancelled even if nothing answers."""
        ...

    def launch(self, request: LaunchRequest) -> str:
        """Starts a run; its id."""
        ...
