"""The ledger with many threads, processes and databases that come and go, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from maestro.errors import InputError
from maestro.ledger.errors import LedgerUnavailableError, ReservationClosedError, UnknownReservationError
from maestro.ledger.holders import is_gone, this_holder
from maestro.ledger.model import Attribution, BudgetExceededError, Scope, Unit
from maestro.ledger.operations import Companion, Operation, Release, Reserve, Settle
from maestro.ledger.store import Ledger
from maestro.ledger.tables import METADATA
from maestro.ledger.transaction import Outcome
from maestro.ledger.writer import AsyncLedger
from maestro.server.database import open_engine
from tests.integration.postgres_server import postgres_database, postgres_server

USD = Unit.USD
WHO = Attribution("acme", "app", 7, "r1", "review")
RUN = Scope("run", "r1")
OTHERS = sa.Table("others", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True))


def other(name: str) -> Companion:
    """A row of somebody else's table."""
    return Companion("INSERT INTO others (name) VALUES (?)", (name,))


@pytest.fixture(scope="module")
def shared(postgres_url: str) -> Iterator[str]:
    with postgres_database(postgres_url) as url:
        yield url


@pytest.fixture
def postgresql(shared: str) -> Iterator[str]:
    """A database that is empty afterwards, which is quicker than another one."""
    yield shared
    engine = open_engine(shared)
    METADATA.drop_all(engine)
    OTHERS.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url) as ledger:
        yield ledger
        assert ledger.check() == []


def in_child(do: Callable[[], object]) -> int:
    """Runs ``do`` in a fork of this process, and gives the exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            do()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_what_one_life_of_the_ledger_wrote_the_next_one_reads(url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.set_limit(RUN, USD, 9, actor="ada", reason="agreed")
        ledger.reserve("one", WHO, {USD: 5}, limits={RUN: {USD: 7}})
    with Ledger.open(url) as ledger:
        (kept,) = ledger.reservations()
        assert (kept.id, kept.attribution, kept.amounts, kept.holder) == ("one", WHO, {USD: 5}, this_holder())
        ledger.settle("one", {USD: 2**62}, facts={"größe": [1, {"a": None}]})
        assert next(ledger.charges()).facts["größe"] == [1, {"a": None}]
        assert [(one.level, one.limit) for one in ledger.crossings() if one.scope == RUN] == [
            *((80, 7), (95, 7), (100, 7))
        ]
        assert ledger.check() == []


def test_a_settled_charge_is_corrected_and_the_books_add_up(url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.reserve("one", WHO, {USD: 5})
        ledger.settle("one", {USD: 2**60})
        ledger.adjust("one", 4, reason="the provider's bill", actor="ada")
    with Ledger.open(url) as ledger:
        assert ledger.settle("one", {USD: 2**60}) == ()
        assert ledger.balance(RUN, USD).spent == 4
        assert [one.amount for one in ledger.charges()] == [2**60, 4 - 2**60]
        assert ledger.check() == []


def test_callers_in_many_threads_share_transactions(ledger: Ledger) -> None:
    ledger.set_limit(RUN, USD, 100, actor="ada", reason="agreed")

    def call(number: int) -> bool:
        try:
            ledger.reserve(str(number), WHO, {USD: 1})
        except BudgetExceededError:
            return False
        ledger.settle(str(number), {USD: 1})
        return True

    with ThreadPoolExecutor(50) as callers:
        granted = list(callers.map(call, range(150)))
    assert granted.count(True) == 100
    assert ledger.balance(RUN, USD).spent == 100


def test_one_that_is_refused_leaves_the_others_of_its_transaction_alone(ledger: Ledger) -> None:
    OTHERS.metadata.create_all(ledger.engine)
    ledger.set_limit(RUN, USD, 10, actor="ada", reason="agreed")
    writer = AsyncLedger(ledger)
    with ledger.committer._turn:  # Held up, so that all of them wait and are written together.
        wishes: list[Future[Any]] = [
            writer.submit(Reserve("a", WHO, {USD: 6}, also=[other("x")])),
            writer.submit(Reserve("b", WHO, {USD: 6}, also=[other("y")])),
            writer.submit(Reserve("c", WHO, {USD: 2}, also=[other("x")])),
            writer.submit(Settle("unknown", {USD: 1})),
            writer.submit(Reserve("d", WHO, {USD: 4}, also=[other("z")])),
            writer.submit(Reserve("d", WHO, {USD: 4})),
            writer.submit(Settle("d", {USD: 3, Unit.TOKENS: 5})),
        ]
        before = ledger.committer.batches
    errors = [type(wish.exception(30)).__name__ for wish in wishes]
    assert errors == [
        *("NoneType", "BudgetExceededError", "CompanionError", "UnknownReservationError"),
        *("NoneType", "NoneType", "NoneType"),
    ]
    assert ledger.committer.batches - before <= 5
    with ledger.engine.begin() as connection:
        assert sorted(connection.execute(sa.select(OTHERS.c.name)).scalars()) == ["x", "z"]
    balance = ledger.balance(RUN, USD)
    assert (balance.spent, balance.reserved) == (3, 6)
    writer.close(ledger=False)


def test_submitting_what_cannot_be_is_told_by_the_future(ledger: Ledger) -> None:
    writer = AsyncLedger(ledger)
    assert isinstance(writer.submit(Reserve("a", WHO, {USD: -1})).exception(30), InputError)
    assert isinstance(writer.submit(Settle("a", {USD: -1})).exception(30), InputError)
    assert isinstance(writer.submit(Release("a")).exception(30), UnknownReservationError)
    writer.submit(Reserve("b", WHO, {USD: 1})).result(30)
    ledger.sent("b")
    writer.submit(Release("b")).result(30)
    writer.close(ledger=False)
    assert ledger.reservations() == []


def test_a_reservation_whose_future_was_cancelled_in_time_is_not_made_and_a_settlement_is(ledger: Ledger) -> None:
    writer = AsyncLedger(ledger)
    ledger.reserve("one", WHO, {USD: 1})
    with ledger.committer._turn:
        assert writer.submit(Settle("one", {USD: 1})).cancel()
        assert writer.submit(Reserve("two", WHO, {USD: 1})).cancel()
        last = writer.submit(Reserve("three", WHO, {USD: 1}))
    last.result(30)
    assert [one.state for one in ledger.reservations(["one", "two", "three"])] == ["settled", "reserved"]
    writer.close(ledger=False)


def test_whatever_a_provider_or_an_exception_says_is_kept(ledger: Ledger) -> None:
    for id in ("one", "two"):
        ledger.reserve(id, WHO, {USD: 1}, model="a\0b")
    ledger.release("one", "broken \udcff\n\0")
    ledger.settle("two", {USD: 1}, facts={"said": "\0\udcff"})
    assert [one.reason for one in ledger.reservations(["one"])] == ["broken ?\n\ufffd"]
    (charge,) = ledger.charges()
    assert (charge.model, charge.facts) == ("a\ufffdb", {"said": "\0\udcff"})


def test_one_operation_that_cannot_be_written_does_not_keep_the_others_from_it(ledger: Ledger) -> None:
    writer = AsyncLedger(ledger)
    with ledger.committer._turn:
        wishes: list[Future[Any]] = [
            writer.submit(Reserve("one", WHO, {USD: 1})),
            writer.submit(Release("\udcff")),
        ]
    assert wishes[1].exception(30) is not None
    assert wishes[0].exception(30) is None
    writer.close(ledger=False)
    assert [one.id for one in ledger.reservations()] == ["one"]


def test_what_was_settled_right_before_the_process_was_killed_is_settled(ledger: Ledger) -> None:
    def child() -> None:
        ledger.reserve("one", WHO, {USD: 9}, sent=True)
        ledger.settle("one", {USD: 4})
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(child) == -signal.SIGKILL
    assert ledger.expire() == []
    assert [(charge.kind, charge.amount) for charge in ledger.charges()] == [("settled", 4)]


def test_who_is_told_may_ask_for_more_at_once(ledger: Ledger) -> None:
    writer, told = AsyncLedger(ledger), threading.Event()

    def ask_again(_done: object) -> None:
        ledger.reserve("two", WHO, {USD: 1})
        told.set()

    writer.submit(Reserve("one", WHO, {USD: 1})).add_done_callback(ask_again)
    assert told.wait(30)
    writer.close(ledger=False)


class Interrupt(BaseException):
    """As the one of the keyboard."""


def test_a_caller_that_is_interrupted_leaves_the_others_their_turn(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted, transact = threading.Event(), ledger.committer._transact

    def interrupt(operations: Sequence[Operation]) -> list[Outcome]:
        if interrupted.is_set():
            return transact(operations)
        interrupted.set()
        raise Interrupt

    monkeypatch.setattr(ledger.committer, "_transact", interrupt)
    writer = AsyncLedger(ledger)
    with pytest.raises(Interrupt):
        ledger.reserve("one", WHO, {USD: 1})
    assert writer.submit(Reserve("two", WHO, {USD: 1})).result(30).id == "two"
    ledger.reserve("three", WHO, {USD: 1})
    assert [one.id for one in ledger.reservations()] == ["two", "three"]
    writer.close(ledger=False)


def test_closing_writes_what_was_submitted(url: str) -> None:
    writer = AsyncLedger.open(url)
    wishes = [writer.submit(Reserve(str(number), WHO, {USD: 1})) for number in range(50)]
    writer.close()
    assert all(wish.done() for wish in wishes)
    with Ledger.open(url) as ledger:
        assert len(ledger.reservations()) == 50


def test_writers_that_want_the_same_scopes_in_any_order_never_wait_for_each_other_in_a_ring(url: str) -> None:
    def work(number: int) -> None:
        pick = random.Random(number)
        writer = AsyncLedger.open(url)
        for part in range(8):
            whom = [Attribution(f"t{pick.randrange(6)}", f"p{pick.randrange(3)}", pick.randrange(4)) for _ in range(12)]
            names = [f"{number}-{part}-{one}" for one in range(len(whom))]
            for wish in [writer.submit(Reserve(name, one, {USD: 3})) for name, one in zip(names, whom, strict=True)]:
                wish.result(60)
            pick.shuffle(names)
            for settled in [writer.submit(Settle(name, {USD: 2, Unit.TOKENS: 1})) for name in names]:
                settled.result(60)
        writer.close()

    with ThreadPoolExecutor(6) as workers:
        list(workers.map(work, range(6)))
    with Ledger.open(url) as ledger:
        assert ledger.check() == []
        assert sum(charge.amount for charge in ledger.charges(unit=USD)) == 6 * 8 * 12 * 2
        if ledger.engine.dialect.name == "postgresql":
            with ledger.engine.begin() as connection:
                seen = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
                assert connection.exec_driver_sql(seen).scalar_one() == 0


def test_a_fork_has_a_ledger_of_its_own(ledger: Ledger) -> None:
    writer = AsyncLedger(ledger)
    writer.submit(Reserve("parent", WHO, {USD: 1})).result(30)

    def child() -> None:
        ledger.reserve("child", WHO, {USD: 2})
        ledger.settle("child", {USD: 2})
        writer.submit(Reserve("child too", WHO, {USD: 4}, sent=True)).result(30)

    assert in_child(child) == 0
    ledger.settle("parent", {USD: 1})
    assert ledger.balance(RUN, USD).spent == 3
    (lapsed,) = ledger.expire()
    assert (lapsed.id, lapsed.state) == ("child too", "assumed")
    assert lapsed.reason.startswith("its caller is gone: ")
    writer.close(ledger=False)


def test_a_fork_waits_for_nobody_of_its_parent(ledger: Ledger) -> None:
    ledger.reserve("parent", WHO, {USD: 1})

    def child() -> None:
        signal.alarm(30)
        ledger.reserve("child", WHO, {USD: 2})
        ledger.release("child")

    with ledger.committer._turn:  # Another thread of the parent is writing at that moment.
        assert in_child(child) == 0
    ledger.settle("parent", {USD: 1})


def test_a_dead_callers_id_is_taken_over_unless_its_call_was_sent(ledger: Ledger) -> None:
    def child() -> None:
        ledger.reserve("not sent", WHO, {USD: 1})
        ledger.reserve("sent", WHO, {USD: 1}, sent=True)

    assert in_child(child) == 0
    assert ledger.reserve("not sent", WHO, {USD: 1}).amounts == {USD: 1}
    ledger.sent("not sent")
    with pytest.raises(ReservationClosedError, match="is in use by another process, which has sent its call"):
        ledger.reserve("sent", WHO, {USD: 1})
    assert [one.state for one in ledger.expire()] == ["assumed"]
    ledger.settle("not sent", {USD: 1})


def test_who_lost_a_reservation_to_another_process_must_not_send(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 1})
    assert in_child(lambda: ledger.reserve("one", WHO, {USD: 1})) == 0
    with pytest.raises(ReservationClosedError, match="was taken over by another process"):
        ledger.sent("one")


def test_the_call_of_a_living_process_is_not_taken_for_lost(ledger: Ledger) -> None:
    assert is_gone(this_holder()) is False
    ledger.reserve("one", WHO, {USD: 1}, sent=True)
    assert ledger.expire() == []
    machine = this_holder().rpartition(" pid ")[0]
    assert is_gone(f"another machine pid {os.getpid()} 1.0") is False
    assert is_gone(f"{machine} pid {os.getpid()} 1.0") is True  # A number that was given to a new process.
    assert is_gone(f"{machine} pid garbage") is False


def test_leases_are_counted_by_the_databases_clock(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(postgresql) as ledger:
        monkeypatch.setattr("time.time", lambda: 0.0)
        expires = ledger.reserve("clock", WHO, {USD: 1}, lease=60).expires
        monkeypatch.undo()
    assert abs(expires - datetime.now(UTC) - timedelta(seconds=60)) < timedelta(seconds=30)


def test_crossings_are_told_by_one_of_those_who_ask(ledger: Ledger) -> None:
    ledger.set_limit(RUN, USD, 10, actor="ada", reason="agreed")
    ledger.reserve("one", WHO, {USD: 10})
    start = threading.Barrier(4)

    def take(_number: int) -> int:
        start.wait()
        return len(ledger.take_crossings())

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(take, range(4))) == 3


def test_a_database_that_was_away_is_used_again(postgresql: str) -> None:
    with Ledger.open(postgresql) as ledger:
        ledger.reserve("away", WHO, {USD: 1})
        cut_off(postgresql)
        ledger.settle("away", {USD: 1})
        cut_off(postgresql)
        assert ledger.balance(RUN, USD).spent == 1
        assert ledger.check() == []


def test_a_database_that_stays_away_is_reported_and_nothing_is_granted() -> None:
    with postgres_server() as url:
        ledger = Ledger.open(url, patience=0.1)
        ledger.reserve("one", WHO, {USD: 1})
    with pytest.raises(LedgerUnavailableError, match="the ledger's database does not answer: ") as refused:
        ledger.reserve("two", WHO, {USD: 1})
    assert refused.value.next_step == "check that it runs and that its disk is not full"
    with pytest.raises(LedgerUnavailableError):
        ledger.balance(RUN, USD)
    with pytest.raises(LedgerUnavailableError):
        ledger.expire()
    ledger.close()


def test_what_was_committed_unnoticed_is_not_done_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks between each commit and its answer, so everything is tried twice."""
    OTHERS.metadata.create_all(ledger.engine)
    transact, answered = ledger.committer._transact, [True]

    def unanswered(operations: Sequence[Operation]) -> list[Outcome]:
        outcomes = transact(operations)
        answered[0] = not answered[0]
        if not answered[0]:
            raise sa.exc.OperationalError(None, None, sqlite3.OperationalError("the connection broke"))
        return outcomes

    monkeypatch.setattr(ledger.committer, "_transact", unanswered)
    ledger.reserve("one", WHO, {USD: 3}, also=[other("decision")])
    ledger.sent("one")
    ledger.settle("one", {USD: 2}, also=[other("outcome")])
    ledger.spend(WHO, {Unit.RUNS: 1})
    ledger.reserve("two", WHO, {USD: 3})
    ledger.release("two")
    assert [(str(charge.unit), charge.amount) for charge in ledger.charges()] == [("usd", 2), ("runs", 1)]
    assert ledger.balance(RUN, USD).used == 2


def cut_off(url: str) -> None:
    """Ends every other connection to the database, as a restart of the server does."""
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    engine.dispose()
