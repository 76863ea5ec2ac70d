"""From the bytes of a delivery to its event."""

from __future__ import annotations

from urllib.parse import parse_qs

from pydantic import ValidationError

from maestro.events import github, gitlab, own
from maestro.events.errors import EventError, unreadable
from maestro.events.model import Event

_PROVIDERS = {"github": "GitHub", "gitlab": "GitLab", "schedule": "a schedule", "command": "a command"}
_FORM = b"payload="


def read_event(provider: str, event: str, body: bytes) -> Event:
    """The event in ``body``.

    Args:
        provider: ``github``, ``gitlab``; ``schedule`` and ``command`` for Maestro's own.
        event: ``X-GitHub-Event``, or ``X-Gitlab-Event``; of no meaning for Maestro's own.
        body: JSON, or GitHub's form with the JSON in ``payload``.

    Raises:
        EventError: it is not what the event's name promises; says which field.
    """
    if provider not in _PROVIDERS:
        raise EventError(
            f"there is no provider '{provider}' of events", next_step=f"the providers are: {', '.join(_PROVIDERS)}"
        )
    shown = _PROVIDERS[provider]
    name = f"the event of {shown}" if provider in own.PROVIDERS else f"{shown}'s event '{event}'"
    if body.startswith(_FORM):
        body = _payload(body, name)
    try:
        if provider == "github":
            return github.read(event, body)
        if provider == "gitlab":
            return gitlab.read(event, body)
        return own.read(provider, body)
    except ValidationError as error:
        raise unreadable(name, error) from None


def _payload(body: bytes, name: str) -> bytes:
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=4)["payload"][0].encode()
    except (KeyError, ValueError):
        raise EventError(
            f"{name} cannot be read: its body is no form with a field 'payload'",
            next_step="let the webhook send application/json",
        ) from None
