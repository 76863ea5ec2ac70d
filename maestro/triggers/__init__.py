"""From an event to what it asks for, and what a workflow's ``on`` and ``concurrency`` say to that.

``wanted`` knows nothing of any workflow: it says which revision an event is about and how far that is to be trusted.
``refusal`` asks the workflow. ``allowed`` asks it about the person who gave a command.
"""

from maestro.triggers.commands import allowed
from maestro.triggers.filters import refusal
from maestro.triggers.groups import group_of
from maestro.triggers.model import Command, Nothing, Settled, Wanted
from maestro.triggers.settling import settled
from maestro.triggers.wanting import wanted

__all__ = [
    "Command",
    "Nothing",
    "Settled",
    "Wanted",
    "allowed",
    "group_of",
    "refusal",
    "settled",
    "wanted",
]
