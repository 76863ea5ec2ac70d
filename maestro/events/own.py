"""Maestro's own events: what a schedule or a person's command asks for, kept in the inbox like any other delivery."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from maestro.events.fields import Line, Name, Wire
from maestro.events.model import Scheduled

PROVIDERS = ("schedule", "command")


class _Asked(Wire):
    project: Line
    branch: Name | None = None
    at: AwareDatetime
    cron: Line | None = None
    timezone: Line | None = None
    sender: Line = ""


def read(provider: str, body: bytes) -> Scheduled:
    """The run asked for.

    Args:
        provider: one of ``PROVIDERS``.

    Raises:
        pydantic.ValidationError: a field is missing or wrong.
    """
    found = _Asked.model_validate_json(body)
    own: Literal["schedule", "command"] = "schedule" if provider == "schedule" else "command"
    return Scheduled(found.project, own, found.branch, found.at, found.cron, found.timezone, found.sender)
