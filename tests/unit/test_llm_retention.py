"""Decisions go after their time, and who asks for one of them is told so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.errors import InputError, MaestroError
from maestro.ledger.transaction import write
from maestro.llm.decision_tables import CALLS
from maestro.llm.decisions import DecisionStore, decision_id, decision_row, outcome_of
from maestro.llm.model import Decision
from maestro.llm.retention import RemovedDecisionError, moment_of
from maestro.server.database import open_engine
from tests.unit.llm_world import NOW, answer, ask


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DecisionStore]:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield DecisionStore(engine)
    engine.dispose()


def kept(store: DecisionStore, days: float) -> Decision:
    """A decision made so many days ago."""
    at = NOW - timedelta(days=days)
    made = dataclasses.replace(ask("all"), id=decision_id(at), at=at)
    store.keep(made, outcome_of(made, answer(made), at=at))
    return made


def test_old_decisions_go_with_what_became_of_them_and_younger_ones_stay(store: DecisionStore) -> None:
    kept(store, 401)
    young = kept(store, 399)
    assert store.older(NOW - timedelta(days=400)) == 1
    assert store.prune(400, now=NOW) == 1
    assert [one.decision.id for one in store.list()] == [young.id]
    with store.engine.begin() as connection:
        assert connection.execute(sa.select(CALLS.c.decision)).scalars().all() == [young.id]


def test_of_a_removed_one_it_is_told_when_it_was_made_and_that_it_was_removed(store: DecisionStore) -> None:
    old = kept(store, 401)
    store.prune(400, now=NOW)
    for id in (old.id, old.id[:16]):
        with pytest.raises(RemovedDecisionError) as error:
            store.get(id)
        assert str(error.value).splitlines() == [
            f"the decision '{id}' of {old.at:%Y-%m-%d} was removed: decisions are kept for 400 days",
            "  next: what it cost is still in `maestro budget export`",
        ]


@pytest.mark.parametrize("id", ["dec_", "dec_0193f2a1c3d", "dec_0193f2a1c3dz0000", "last", "dec_" + "f" * 40])
def test_an_id_that_does_not_say_when_it_was_made_is_one_there_is_none_of(store: DecisionStore, id: str) -> None:
    kept(store, 401)
    store.prune(400, now=NOW)
    with pytest.raises(InputError, match="there is no decision"):
        store.get(id)


def test_a_young_one_that_is_not_there_was_not_removed(store: DecisionStore) -> None:
    kept(store, 401)
    store.prune(400, now=NOW)
    with pytest.raises(InputError, match="there is no decision"):
        store.get(decision_id(NOW - timedelta(days=399)))


def test_where_nothing_was_removed_an_old_one_never_was(store: DecisionStore) -> None:
    assert store.prune(400, now=NOW) == 0
    with pytest.raises(InputError, match="there is no decision"):
        store.get(decision_id(NOW - timedelta(days=500)))


def test_a_longer_time_that_is_set_later_brings_nothing_back(store: DecisionStore) -> None:
    old = kept(store, 150)
    store.prune(100, now=NOW)
    kept(store, 500)
    store.prune(400, now=NOW)
    with pytest.raises(RemovedDecisionError, match="kept for 100 days"):
        store.get(old.id)


def test_it_goes_on_page_by_page_and_stops_where_it_is_told_to(store: DecisionStore) -> None:
    usual = ask("all")
    with store.engine.begin() as connection:
        for number in range(250):
            at = NOW - timedelta(days=500, seconds=number)
            write(connection, [decision_row(dataclasses.replace(usual, id=decision_id(at), at=at))])
    once = iter([True, False])
    assert store.prune(400, now=NOW, go_on=lambda: next(once)) == 200
    assert store.prune(400, now=NOW) == 50


def test_an_id_says_when_it_was_made() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123000, tzinfo=UTC)
    assert moment_of(decision_id(at)) == at
    assert moment_of("dec_ffffffffffff") is None


def test_a_database_that_is_away_is_told(store: DecisionStore) -> None:
    with store.engine.begin() as connection:
        CALLS.drop(connection)
    kept_before = dataclasses.replace(ask("all"), id="dec_1", at=NOW - timedelta(days=500))
    store.keep(kept_before)
    with pytest.raises(MaestroError, match="old decisions cannot be removed: no such table"):
        store.prune(400, now=NOW)
