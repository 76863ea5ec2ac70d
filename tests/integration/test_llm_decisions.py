"""Decisions and overrides in a real PostgreSQL: the same statements, the same answers, several writers at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from maestro.errors import InputError
from maestro.ledger.transaction import write
from maestro.llm.decisions import DecisionStore, Kept, decision_id, decision_row, outcome_of, outcome_row
from maestro.llm.model import ProviderError
from maestro.llm.overrides import OverrideStore, make_override
from maestro.server.database import open_engine
from tests.unit.llm_world import NOW, answer, ask, catalogue


@pytest.fixture
def engine(postgres_database: str) -> Iterator[sa.Engine]:
    made = open_engine(postgres_database)
    yield made
    made.dispose()


def test_decisions_and_outcomes_are_read_as_they_were_kept(engine: sa.Engine) -> None:
    store = DecisionStore(engine)
    decision = dataclasses.replace(ask("all"), id=decision_id(NOW))
    failed = outcome_of(decision, None, error=ProviderError("gone", kind="unavailable"), at=NOW)
    store.keep(decision, failed)
    answered = outcome_of(decision, answer(decision), at=NOW)
    with engine.begin() as connection:
        write(connection, [decision_row(decision)])
        write(connection, [outcome_row(answered)])
    assert store.get(decision.id[:20]) == store.get("last") == Kept(decision, answered)
    assert [one.decision.id for one in store.list(model="big", state="answered", run="run1")] == [decision.id]
    with pytest.raises(InputError, match="there is no decision"):
        store.get("dec_x")


def test_several_processes_may_open_it_and_write_at_once(engine: sa.Engine) -> None:
    rows = [
        dataclasses.replace(ask("all"), id=decision_id(NOW + timedelta(seconds=n)), at=NOW + timedelta(seconds=n))
        for n in range(60)
    ]

    def write(row: object) -> None:
        assert isinstance(row, type(rows[0]))
        DecisionStore(engine).keep(row, outcome_of(row, answer(row), at=NOW))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, rows + rows))
    assert [one.decision.id for one in DecisionStore(engine).list(limit=None)] == [row.id for row in reversed(rows)]


def test_overrides_are_put_listed_and_revoked(engine: sa.Engine) -> None:
    store = OverrideStore(engine)
    override = make_override(
        "all", "small", reason="trial", scope="project:acme/app", expires=timedelta(days=1), actor="ada", now=NOW
    )
    store.put(override, catalogue())
    assert store.active(NOW) == (override,)
    store.revoke(override.id, reason="over", actor="bob", now=NOW)
    assert store.active(NOW) == ()
    with pytest.raises(InputError, match="is revoked already"):
        store.revoke(override.id, reason="over", actor="bob")
