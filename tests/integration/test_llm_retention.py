"""What of models' calls is removed, and what of them is kept, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from maestro.ledger.store import Ledger
from maestro.llm.calls import calls
from maestro.llm.days import DaySummaries
from maestro.llm.decisions import DecisionStore, decision_id
from maestro.llm.retention import RemovedDecisionError
from maestro.llm.watching import drift_by_project, drift_of
from tests.unit.kept_calls import A_DAY, keep_calls
from tests.unit.llm_world import NOW


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")
    with Ledger.open(url) as opened:
        yield opened


def test_drift_is_found_in_kept_days_after_their_decisions_were_removed(ledger: Ledger) -> None:
    keep_calls(ledger, NOW, whose=("acme", "app"), last_cost=2.0, failed=1)
    keep_calls(ledger, NOW, whose=("acme", "web"))
    store = DecisionStore(ledger.engine)
    with ThreadPoolExecutor(3) as several:
        looks = [several.submit(drift_by_project, store, now=NOW) for _ in range(3)]
    found = looks[0].result()
    assert [look.result() for look in looks] == [found] * 3
    assert {whose: [one.metric for one in of_it.alerts] for whose, of_it in found.items()} == {
        ("acme", "app"): ["cost"],
        ("acme", "web"): [],
    }
    assert {(one.calls, one.days) for one in found.values()} == {(A_DAY, 28)}
    assert store.prune(2, now=NOW) == 2 * 28 * A_DAY
    assert drift_by_project(store, now=NOW) == found
    assert drift_of(store, now=NOW, tenant="acme", project="app") == found["acme", "app"]


def test_a_removed_decision_is_known_by_its_time(ledger: Ledger) -> None:
    keep_calls(ledger, NOW, days=3)
    store = DecisionStore(ledger.engine)
    assert store.older(NOW - timedelta(days=2)) == store.prune(2, now=NOW) == 2 * A_DAY
    with pytest.raises(RemovedDecisionError, match="decisions are kept for 2 days"):
        store.get(decision_id(NOW - timedelta(days=3)))
    assert len(list(calls(ledger.engine, since=NOW - timedelta(days=30), until=NOW))) == A_DAY


def test_days_are_kept_for_as_long_as_they_are_compared_with(ledger: Ledger) -> None:
    days = DaySummaries(ledger.engine)
    DecisionStore(ledger.engine)
    days.of(NOW.date() - timedelta(days=152), NOW.date(), NOW)
    assert (days.prune(NOW), days.prune(NOW)) == (2, 0)
