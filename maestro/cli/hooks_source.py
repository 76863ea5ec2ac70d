"""Webhooks that were taken, with what became of them, as the command line reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maestro.errors import InputError
from maestro.inbox import Delivery, Headline, Inbox, Outcome, Outcomes
from maestro.inbox.outcomes import State
from maestro.server.database import open_engine
from maestro.server.home import ServerHome

NEW = "new"
"""The state of what nobody has looked at yet."""
STATES = (NEW, "started", "nothing", "waiting", "dead")
_PAGE = 200
_LARGEST_BODY = 1024 * 1024
"""Bytes; of a larger one the list does not say which action it is about."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook without its content.

    Args:
        action: such as ``opened``; empty when the event has none.
        outcome: None while nobody has looked at it.
    """

    headline: Headline
    action: str
    outcome: Outcome | None

    @property
    def project(self) -> str:
        """Name of its project; empty when there is none."""
        return (self.outcome.project if self.outcome else "") or self.headline.project

    @property
    def state(self) -> str:
        """What became of it, in a word."""
        return self.outcome.state if self.outcome else NEW

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` writes it."""
        return {
            "id": self.headline.id,
            "received": self.headline.received.timestamp(),
            "provider": self.headline.provider,
            "delivery": self.headline.delivery,
            "event": self.headline.event,
            "action": self.action or None,
            "project": self.project or None,
            "bytes": self.headline.size,
            "outcome": outcome_json(self.outcome),
        }


class Hooks:
    """The inbox of a server, and the outcomes.

    Raises:
        MaestroError: a database does not answer; of every method, too.
    """

    def __init__(self, home: ServerHome) -> None:
        self.inbox = Inbox(home.inbox_url)
        self.outcomes = Outcomes(open_engine(home.database_url))

    def recent(self, limit: int, state: str | None = None, project: str | None = None) -> list[Hook]:
        """The newest ones, newest first."""
        if state is None or state == NEW:
            return self._of_inbox(limit, state, project)
        wanted: State = state  # type: ignore[assignment]  # One of STATES, and not NEW.
        found = ((self.headline(one.inbox_id), one) for one in self.outcomes.recent(limit, wanted, project))
        return [self._hook(headline, outcome) for headline, outcome in found if headline is not None]

    def headline(self, number: int) -> Headline | None:
        """The webhook at a position of the inbox, without its content."""
        found = self.inbox.recent(1, before=number + 1)
        return found[0] if found and found[0].id == number else None

    def find(self, text: str) -> Delivery:
        """The webhook of an id: its position here, or the sender's id of the delivery.

        Raises:
            InputError: there is none.
        """
        found = self.inbox.get(int(text)) if text.isascii() and text.isdigit() and len(text) < 19 else None
        for provider in ("github", "gitlab"):
            found = found or self.inbox.find(provider, text)
        if found is None:
            raise InputError(f"there is no webhook '{text}'", next_step="maestro hooks list")
        return found

    def _of_inbox(self, limit: int, state: str | None, project: str | None) -> list[Hook]:
        found: list[Hook] = []
        for page in self._pages(project):
            hooks = [(one, self.outcomes.get(one.id)) for one in page]
            wanted = [(one, outcome) for one, outcome in hooks if state is None or outcome is None]
            found += [self._hook(one, outcome) for one, outcome in wanted[: limit - len(found)]]
            # What is new is at the end of the inbox: behind a page without any there are no more.
            if len(found) >= limit or not wanted:
                break
        return found

    def _pages(self, project: str | None) -> Iterator[list[Headline]]:
        before: int | None = None
        while page := self.inbox.recent(_PAGE, project, before):
            yield page
            before = page[-1].id

    def _hook(self, headline: Headline, outcome: Outcome | None) -> Hook:
        delivery = self.inbox.get(headline.id) if headline.size <= _LARGEST_BODY else None
        return Hook(headline, action_of(delivery) if delivery else "", outcome)


def payload_of(delivery: Delivery) -> Any:
    """The JSON a webhook brought; None when it is none."""
    try:
        return json.loads(delivery.payload)
    except (ValueError, RecursionError):
        return None


def action_of(delivery: Delivery) -> str:
    """What its event is about more closely: GitHub's ``action``, GitLab's ``object_attributes.action``."""
    content = payload_of(delivery)
    if not isinstance(content, dict):
        return ""
    inner = content.get("object_attributes")
    action = content.get("action") or (inner.get("action") if isinstance(inner, dict) else None)
    return action if isinstance(action, str) else ""


def outcome_json(outcome: Outcome | None) -> dict[str, Any] | None:
    """An outcome as ``--json`` writes it; None while there is none."""
    if outcome is None:
        return None
    return {
        "state": outcome.state,
        "reason": outcome.reason,
        "runs": list(outcome.runs),
        "attempts": outcome.attempts,
        "at": outcome.at.timestamp(),
        "next_at": outcome.next_at.timestamp() if outcome.next_at else None,
    }


def outcome_text(outcome: Outcome | None) -> str:
    """An outcome in one line."""
    if outcome is None:
        return "not looked at yet"
    parts = [outcome.reason, *(f"run {one}" for one in outcome.runs)]
    if outcome.next_at is not None:
        parts.append(f"again at {shown_time(outcome.next_at)}")
    return "; ".join(part for part in parts if part)


def shown_time(at: datetime) -> str:
    """``2027-01-31 12:00:00``, UTC."""
    return at.strftime("%Y-%m-%d %H:%M:%S")
