"""What has happened at GitHub or GitLab, or was asked for by Maestro itself, as few typed facts.

A delivery is read when something is done with it, not when it comes in: whatever it holds, it has been stored before.
"""

from maestro.events.errors import EventError
from maestro.events.model import (
    Comment,
    Deployment,
    DeploymentStatus,
    Event,
    Other,
    PullRequest,
    Push,
    Release,
    Rerequested,
    Scheduled,
    WorkflowRun,
)
from maestro.events.reading import read_event

__all__ = [
    "Comment",
    "Deployment",
    "DeploymentStatus",
    "Event",
    "EventError",
    "Other",
    "PullRequest",
    "Push",
    "Release",
    "Rerequested",
    "Scheduled",
    "WorkflowRun",
    "read_event",
]
