"""What a run left to do."""

from __future__ import annotations

from maestro.runs.view import RunView

_DONE = frozenset({"passed", "cached", "warned"})


def unfinished(view: RunView) -> tuple[str, ...]:
    """Names of the steps a run that resumes ``view`` must do: those that are not done, and those that were undone."""
    undone = {f"step {step.step} undone" for step in view.steps} & set(view.compensations)
    return tuple(step.step for step in view.steps if step.state not in _DONE or f"step {step.step} undone" in undone)
