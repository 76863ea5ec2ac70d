"""Ways a step ends that are not a result."""

from __future__ import annotations

from maestro.errors import MaestroError


class StepError(MaestroError):
    """A step could not be carried out: its own input, a missing tool, an effect nobody can vouch for."""


class StepTimeoutError(StepError):
    """A step took longer than its ``timeout``; its processes were killed."""


class StepCancelledError(StepError):
    """A step was stopped because its run is being cancelled."""

    exit_code = 130
