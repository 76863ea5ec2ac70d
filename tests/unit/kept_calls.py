"""Weeks of calls as they are kept: usual days, and a last one that may be otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta

from maestro.ledger.model import Attribution
from maestro.ledger.store import Ledger
from maestro.ledger.transaction import write
from maestro.llm.decisions import DecisionStore, Outcome, decision_row, outcome_row
from maestro.llm.model import Decision
from tests.unit.llm_world import ask

A_DAY = 24


def keep_calls(
    ledger: Ledger,
    until: datetime,
    *,
    whose: tuple[str, str] = ("local", "shop"),
    days: int = 29,
    last_cost: float = 1.0,
    failed: int = 0,
) -> None:
    """``A_DAY`` calls of one model in the last hour before ``until``, and on each of ``days - 1`` earlier days.

    Those are whole ones (UTC), the last of which ended a day before ``until`` at least.

    Args:
        last_cost: of a call on the last day, in times of the usual cost.
        failed: calls of each day that have no answer.
    """
    DecisionStore(ledger.engine)  # Makes the tables.
    with ledger.engine.begin() as connection:
        for decision, outcome in _calls(until, whose, days, last_cost, failed):
            write(connection, [decision_row(decision), outcome_row(outcome)])


def _calls(
    until: datetime, whose: tuple[str, str], days: int, last_cost: float, failed: int
) -> Iterator[tuple[Decision, Outcome]]:
    usual = dataclasses.replace(ask("big"), attribution=Attribution(*whose, actor="ann"))
    midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(days):
        for number in range(A_DAY):
            at = until - timedelta(minutes=10 + number)
            if day:
                at = midnight - timedelta(days=day, hours=12, minutes=1 + number)
            id = f"dec_{'_'.join(whose)}_{day:03d}_{number:03d}"
            cost = 1_000_000 + 1_000 * (number % 7) + 500 * (day % 3)
            ended = Outcome(id, at, "answered", "big", "openai", cost_nano=cost, seconds=2.0 + 0.01 * (number % 5))
            if day == 0:
                ended = dataclasses.replace(ended, cost_nano=int(cost * last_cost))
            if number < failed:
                ended = Outcome(id, at, "failed", error="no model answered")
            yield dataclasses.replace(usual, id=id, at=at), ended
