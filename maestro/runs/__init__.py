"""Runs as people see them: the same view of a run on this machine and on a server."""

from maestro.runs.view import RunState, RunView, StepState, StepView

__all__ = ["RunState", "RunView", "StepState", "StepView"]
