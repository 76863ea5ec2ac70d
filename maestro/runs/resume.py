"""What a run left to do."""

from __future__ import annotations

from maestro.runs.view import RunView
from maestro.workflow.graph import FINALLY

_DONE = frozenset({"passed", "cached", "warned"})


def unfinished(view: RunView) -> tuple[str, ...]:
    """Names of the steps a run that resumes ``view`` must do.

    Those that are not done, those that were undone, and the ``finally`` steps, which end every run.
    """
    undone = {f"step {step.step} undone" for step in view.steps} & set(view.compensations)
    return tuple(
        step.step
        for step in view.steps
        if step.state not in _DONE or f"step {step.step} undone" in undone or step.step.startswith(f"{FINALLY}/")
    )
