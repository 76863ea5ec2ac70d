"""Days of calls: made once they are complete, kept, and read in place of the calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.errors import MaestroError
from maestro.ledger.model import Attribution
from maestro.llm.calls import Call, calls
from maestro.llm.days import DAYS, DaySummaries
from maestro.llm.decision_tables import DECISIONS
from maestro.llm.decisions import DecisionStore, decision_id, outcome_of
from maestro.llm.model import ProviderError
from maestro.server.database import open_engine
from tests.unit.llm_world import NOW, answer, ask

TODAY = NOW.date()
WHOSE = ("acme", "app")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DecisionStore]:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield DecisionStore(engine)
    engine.dispose()


def keep(store: DecisionStore, at: datetime, project: str = "app", *, failed: bool = False) -> str:
    made = dataclasses.replace(ask("all"), id=decision_id(at), at=at, attribution=Attribution("acme", project))
    error = ProviderError("gone", kind="unavailable") if failed else None
    store.keep(made, outcome_of(made, None if failed else answer(made), error=error, at=at))
    return made.id


def ago(days: float) -> datetime:
    return datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC) - timedelta(days=days)


def counts(store: DecisionStore, now: datetime = NOW, days: int = 3) -> dict[tuple[str, str], list[int]]:
    found = DaySummaries(store.engine).of(TODAY - timedelta(days=days), TODAY, now)
    return {whose: [day.calls for day in of_it] for whose, of_it in found.items()}


def kept_days(store: DecisionStore) -> list[str]:
    with store.engine.begin() as connection:
        return list(connection.execute(sa.select(DAYS.c.day).distinct().order_by(DAYS.c.day)).scalars())


def test_calls_are_read_from_columns_as_they_were_kept(store: DecisionStore) -> None:
    keep(store, ago(1))
    keep(store, ago(0.5), failed=True)
    undecided = dataclasses.replace(ask("all"), id="dec_open", at=ago(0.25), chosen=None, route="")
    store.keep(undecided)
    assert list(calls(store.engine, since=ago(2), until=NOW)) == [
        Call(ago(1).timestamp(), "acme", "app", "all", "big", "answered", 3_000_000, 1.5),
        Call(ago(0.5).timestamp(), "acme", "app", "all", "big", "failed", 0, 0.0),
        Call(ago(0.25).timestamp(), "acme", "app", "all", "", None, None, None),
    ]
    assert len(list(calls(store.engine, since=ago(1), until=ago(0.25), tenant="acme", project="app"))) == 2
    assert list(calls(store.engine, since=ago(2), until=NOW, project="other")) == []


def test_each_project_has_its_days_and_a_day_without_calls_is_none(store: DecisionStore) -> None:
    for days in (1, 1.1, 3):
        keep(store, ago(days))
    keep(store, ago(2), "web")
    assert counts(store) == {("acme", "app"): [1, 2], ("acme", "web"): [1]}
    assert DaySummaries(store.engine).of(ago(9).date(), TODAY, NOW, ("acme", "web")).keys() == {("acme", "web")}


def test_a_complete_day_is_made_once_and_needs_its_calls_no_more(store: DecisionStore) -> None:
    keep(store, ago(1))
    before = DaySummaries(store.engine).of(TODAY - timedelta(days=3), TODAY, NOW)
    with store.engine.begin() as connection:
        connection.execute(DECISIONS.delete())
    after = DaySummaries(store.engine).of(TODAY - timedelta(days=3), TODAY, NOW)
    assert after == before
    assert after[WHOSE][0].models["big"].numbers["latency"].count == 1
    assert kept_days(store) == [(TODAY - timedelta(days=days)).isoformat() for days in (3, 2, 1)]


def test_a_day_is_not_kept_before_its_last_calls_have_ended(store: DecisionStore) -> None:
    keep(store, ago(1))
    early = datetime(TODAY.year, TODAY.month, TODAY.day, 5, 59, tzinfo=UTC)
    assert counts(store, early) == {WHOSE: [1]}
    keep(store, ago(1.1))
    assert counts(store, early) == {WHOSE: [2]}
    assert (TODAY - timedelta(days=1)).isoformat() not in kept_days(store)


def test_days_nothing_is_compared_with_any_more_go(store: DecisionStore) -> None:
    counts(store, days=160)
    assert DaySummaries(store.engine).prune(NOW) == 10
    assert kept_days(store)[0] == (TODAY - timedelta(days=150)).isoformat()


def test_a_row_that_was_changed_is_told(store: DecisionStore) -> None:
    keep(store, ago(1))
    counts(store)
    with store.engine.begin() as connection:
        connection.execute(DAYS.update().where(DAYS.c.tenant != "").values(document='{"groups":{}}'))
    with pytest.raises(MaestroError, match="a kept day of calls cannot be read: KeyError"):
        counts(store)


def test_days_in_the_wrong_order_are_none(store: DecisionStore) -> None:
    assert DaySummaries(store.engine).of(date(2026, 1, 2), date(2026, 1, 1), NOW) == {}
