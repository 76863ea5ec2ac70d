"""Keeps decisions and what became of them, in the database of the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from maestro.ledger.model import Attribution
from maestro.llm.model import Answer, Attempt, Decision


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision.

    Args:
        state: ``answered``, ``failed``, ``refused`` (a content filter, or no candidate was left), ``cached``,
            ``cancelled``.
        error: one sentence; empty when it was answered.
        retries: attempts beyond the first.
    """

    decision: str
    at: datetime
    state: str
    model: str = ""
    provider: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    cost_nano: int = 0
    seconds: float = 0.0
    first_token: float = 0.0
    finish: str = ""
    error: str = ""
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision and its outcome; None: the call is not over, or its process died."""

    decision: Decision
    outcome: Outcome | None


class DecisionStore:
    """Decisions in a database; ``engine`` is one of ``maestro.server.database.open_engine``."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def insert_statement(self, decision: Decision) -> sa.Executable:
        """What keeps ``decision``, to be executed in somebody's transaction. Keeping it twice keeps it once."""
        raise NotImplementedError

    def outcome_statement(self, outcome: Outcome) -> sa.Executable:
        """What keeps ``outcome``. The second outcome of a decision replaces the first."""
        raise NotImplementedError

    def get(self, id: str) -> Kept:
        """The decision ``id``, or the only one whose id begins so."""
        raise NotImplementedError

    def list(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tenant: str | None = None,
        project: str | None = None,
        run: str | None = None,
        step: str | None = None,
        pull_request: int | None = None,
        model: str | None = None,
        route: str | None = None,
        state: str | None = None,
        limit: int | None = 100,
    ) -> Iterator[Kept]:
        """Decisions, the newest first."""
        raise NotImplementedError


def outcome_of(decision: Decision, answer: Answer | None, *, error: BaseException | None = None) -> Outcome:
    """The outcome of ``decision``, from the answer or from what happened in its place."""
    raise NotImplementedError


def decision_id(at: datetime | None = None) -> str:
    """A new id, ``dec_`` and 26 characters; ids sort by time."""
    moment = at or datetime.now(UTC)
    return f"dec_{int(moment.timestamp() * 1000):012x}{os.urandom(7).hex()}"


__all__ = ["Attribution", "DecisionStore", "Kept", "Outcome", "decision_id", "outcome_of"]
