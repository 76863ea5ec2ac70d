"""The conductor passes no delivery over, whatever does not answer when it is taken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from maestro.errors import InputError, MaestroError
from maestro.github.errors import UnavailableError
from maestro.inbox import Delivery, Inbox, NewDelivery, Outcome, Outcomes
from maestro.inbox.tables import DELIVERIES
from maestro.server.home import ServerHome, find_server
from maestro.server.leases import Leases
from maestro_defs.conductor import NAME, Conductor
from maestro_defs.dispatch import Dispatcher, passes
from maestro_defs.server import Server

CURSOR = "dispatch"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerHome:
    monkeypatch.setenv("MAESTRO_SERVER_HOME", str(tmp_path / "home"))
    return find_server()


@contextmanager
def conducting(home: ServerHome) -> Iterator[Conductor]:
    server = Server(home)
    with Leases(server.engine).held(NAME, "test", 30.0) as held, server.instance() as instance:
        assert held is not None
        conductor = Conductor(server, instance, held)
        try:
            yield conductor
        finally:
            conductor.close()


def deliver(home: ServerHome, name: str) -> int:
    inbox = Inbox(home.inbox_url)
    headers = {"content-type": "application/json"}
    stored = inbox.append(NewDelivery("github", name, "ping", "shop", headers, b'{"zen": "x"}', ""))
    inbox.close()
    return stored.id


def test_an_outcome_that_could_not_be_stored_is_stored_once_the_database_answers(
    home: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = deliver(home, "one"), deliver(home, "two")
    record, away = Outcomes.record, iter([True])

    def failing(outcomes: Outcomes, outcome: Outcome) -> None:
        if next(away, False):
            raise OperationalError("insert", {}, Exception("server closed the connection"))
        record(outcomes, outcome)

    monkeypatch.setattr(Outcomes, "record", failing)
    with conducting(home) as conductor:
        assert conductor.round() == 2
        conductor.settle()
        outcomes = Outcomes(Server(home).engine)
        assert [outcomes.get(one) is not None for one in (first, second)] == [True, True]


def test_a_term_that_ends_before_an_outcome_is_stored_leaves_the_delivery_to_the_next(
    home: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = deliver(home, "one")
    asked = threading.Event()

    def failing(_outcomes: Outcomes, _outcome: Outcome) -> None:
        asked.set()
        raise OperationalError("insert", {}, Exception("server closed the connection"))

    outcomes = Outcomes(Server(home).engine)
    with monkeypatch.context() as patched, conducting(home) as conductor:
        patched.setattr(Outcomes, "record", failing)
        conductor.round()
        assert asked.wait(30)
        conductor.round()
        assert outcomes.cursor(CURSOR) < number
    with conducting(home) as conductor:
        conductor.round()
        conductor.settle()
    assert outcomes.get(number) is not None


def test_what_came_later_waits_for_a_delivery_that_is_tried_again_in_a_moment_over_terms(
    home: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = deliver(home, "one"), deliver(home, "two")
    taken: list[int] = []
    away = threading.Event()
    away.set()

    def take(_dispatcher: Dispatcher, delivery: Delivery, attempts: int = 0) -> Outcome:
        taken.append(delivery.id)
        if delivery.id == first and away.is_set():
            return Outcome(delivery.id, "waiting", "no answer", attempts=attempts + 1, next_at=datetime.now(UTC))
        return Outcome(delivery.id, "nothing", attempts=attempts + 1)

    monkeypatch.setattr(Dispatcher, "take", take)
    with conducting(home) as conductor:
        conductor.round()
        conductor.settle()
    assert second not in taken
    away.clear()
    with conducting(home) as conductor:
        while second not in taken:
            conductor.round()
            conductor.settle()
        outcomes = Outcomes(Server(home).engine)
        assert [outcomes.get(one) is not None for one in (first, second)] == [True, True]
        conductor.round()
        assert outcomes.cursor(CURSOR) == second
    assert taken == sorted(taken)


def test_a_delivery_whose_webhook_was_removed_is_given_up_and_keeps_nobody_waiting(home: ServerHome) -> None:
    removed, after = deliver(home, "one"), deliver(home, "two")
    outcomes = Outcomes(Server(home).engine)
    outcomes.record(Outcome(removed, "waiting", attempts=1, next_at=datetime.now(UTC), project="shop"))
    engine = Inbox(home.inbox_url)._engine
    with engine.begin() as connection:
        connection.execute(DELIVERIES.delete().where(DELIVERIES.c.id == removed))
    engine.dispose()
    with conducting(home) as conductor:
        conductor.round()
        conductor.settle()
    gone, taken = outcomes.get(removed), outcomes.get(after)
    assert gone is not None and (gone.state, gone.reason) == ("dead", "its webhook was removed")
    assert taken is not None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnavailableError("GitHub does not answer"), True),
        (InputError("the workflow is wrong"), False),
        (MaestroError("a step finds nothing to work on"), False),
    ],
)
def test_what_does_not_answer_is_tried_again_and_what_is_wrong_is_not(error: MaestroError, expected: bool) -> None:
    assert passes(error) is expected


def test_a_database_that_is_away_is_tried_again_however_it_is_told() -> None:
    told = MaestroError("the server's database cannot be used")
    told.__cause__ = OperationalError("select", {}, Exception("connection refused"))
    assert passes(told)
