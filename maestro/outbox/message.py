"""A message to the outside, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

OutgoingState: TypeAlias = Literal["waiting", "sent", "replaced", "dead"]


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be said.

    Args:
        project: whose credentials it is sent with.
        thread: what it is about (one check run, one comment); messages of a thread never overtake each other.
        key: names it in the project; a second message of that key is not taken.
        kind: who carries it out, like ``github.check_run``.
        payload: JSON types, no secrets.
        rank: how late in the thread it belongs; when the thread has had a later one, it is not taken any more.
        replaces: it says everything the thread's earlier ones say, so those that still wait need not be sent.
    """

    project: str
    thread: str
    key: str
    kind: str
    payload: Mapping[str, Any]
    rank: int = 0
    replaces: bool = True


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message in the outbox.

    Args:
        id: its position; smaller is earlier.
        attempts: how often it was taken to be sent, this time included.
        next_at: not to be sent before.
        reason: why it was not sent the last time, or why it never will be.
        answer: what came back.
        settled: when it was sent, replaced or given up.
        claim: of the sender that has it in hand.
    """

    id: int
    message: Message
    state: OutgoingState
    attempts: int
    created: datetime
    next_at: datetime
    reason: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    settled: datetime | None = None
    claim: str | None = None
