"""Pruning the ledger while others use it, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.ledger.errors import ReservationClosedError
from maestro.ledger.model import Attribution, Scope, Unit
from maestro.ledger.operations import Reserve, Settle
from maestro.ledger.pruning import Pruned
from maestro.ledger.store import Ledger
from maestro.ledger.writer import AsyncLedger

USD = Unit.USD
WHO = Attribution("acme", "app", 7, "r1", "review")
CALLS = 450


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url) as ledger:
        yield ledger
        assert ledger.check() == []


def later() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def call(ledger: AsyncLedger, numbers: range) -> None:
    for granted in [ledger.submit(Reserve(str(number), WHO, {USD: 9})) for number in numbers]:
        granted.result()
    for settled in [ledger.submit(Settle(str(number), {USD: 2, Unit.TOKENS: 0})) for number in numbers]:
        settled.result()


def test_several_may_prune_at_once_while_others_reserve_and_settle(ledger: Ledger, url: str) -> None:
    callers = AsyncLedger(ledger)
    call(callers, range(CALLS))
    with Ledger.open(url) as other, ThreadPoolExecutor(3) as threads:
        calls = threads.submit(call, callers, range(CALLS, 2 * CALLS))
        pruned = [threads.submit(one.prune, later()) for one in (ledger, other)]
        calls.result()
        gone = sum(one.result().reservations for one in pruned)
    callers.close(ledger=False)
    assert CALLS <= gone + ledger.prune(later()).reservations == 2 * CALLS
    assert ledger.balance(Scope("run", "r1"), USD).spent == 4 * CALLS
    assert len([*ledger.charges(unit="usd")]) == 2 * CALLS


def test_an_id_that_was_removed_is_known_from_its_charges(ledger: Ledger) -> None:
    ledger.set_limit(Scope("run", "r1"), USD, 10, actor="ada", reason="agreed")
    ledger.reserve("one", WHO, {USD: 9})
    ledger.settle("one", {USD: 8, Unit.TOKENS: 100}, facts={"input_tokens": 60})
    ledger.spend(WHO, {Unit.RUNS: 1}, id="run:r1")
    ledger.take_crossings()
    assert ledger.prunable(later()) == ledger.prune(later()) == Pruned(2, 1)
    assert ledger.reservations(["one", "run:r1"]) == []
    assert ledger.settle("one", {USD: 8, Unit.TOKENS: 100}) == ()
    assert ledger.spend(WHO, {Unit.RUNS: 1}, id="run:r1") == ()
    with pytest.raises(ReservationClosedError, match="'one' is over: it was settled"):
        ledger.reserve("one", WHO, {USD: 1})
    assert ledger.reserve("two", WHO, {USD: 1}).amounts == {USD: 1}
    ledger.release("two")
    assert [(str(one.unit), one.amount) for one in ledger.charges()] == [("usd", 8), ("tokens", 100), ("runs", 1)]


def test_what_a_person_said_of_a_removed_one_stands(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 9})
    ledger.settle("one", {USD: 8, Unit.TOKENS: 100})
    ledger.adjust("one", 2, reason="as billed", actor="ada")
    assert ledger.settle("one", {USD: 8, Unit.TOKENS: 100}) == ()
    assert ledger.prune(later()).reservations == 1
    assert ledger.settle("one", {USD: 8, Unit.TOKENS: 100}) == ()
    assert [one.amount for one in ledger.charges(unit="usd")] == [8, -6]
