"""Two processes never act at once, whatever becomes of the one that holds the lease: killed, stopped, or slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.server.database import open_engine
from maestro.server.leases import LeaseLostError, Leases
from tests.integration.lease_holder import ACTS

ROOT = Path(__file__).parents[2]
TERM = 2.0
"""Seconds; a busy machine must not keep a living holder from renewing in time."""
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'server.db'}"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_engine(url)
    with engine.begin() as connection:
        ACTS.metadata.create_all(connection)
    yield engine
    engine.dispose()


@pytest.fixture
def start(url: str, engine: sa.Engine) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def one(holder: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.lease_holder", holder, str(TERM)],
            cwd=ROOT,
            env={**os.environ, "LEASE_DATABASE": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        with process:
            pass


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def told(process: subprocess.Popen[str]) -> str:
    """Has the process act, and returns what it says about it."""
    assert process.stdin is not None
    process.stdin.write("act\n")
    process.stdin.flush()
    return said(process)


def acts(engine: sa.Engine) -> list[int]:
    with engine.begin() as connection:
        return list(connection.execute(sa.select(ACTS.c.epoch)).scalars())


def test_another_takes_over_from_a_holder_that_was_killed(start: Start, engine: sa.Engine) -> None:
    first = start("first")
    assert said(first) == "held 1"
    second = start("second")
    assert told(first) == "acted 1"
    first.kill()
    first.wait()
    assert said(second) == "held 2"
    assert told(second) == "acted 2"
    assert acts(engine) == [1, 2]


def test_a_holder_that_was_stopped_for_longer_than_its_term_acts_no_more(start: Start, engine: sa.Engine) -> None:
    first = start("first")
    assert said(first) == "held 1"
    second = start("second")
    first.send_signal(signal.SIGSTOP)
    assert said(second) == "held 2"
    # The order waits in its pipe, so it is the first thing it does when it goes on.
    assert first.stdin is not None
    first.stdin.write("act\n")
    first.stdin.flush()
    first.send_signal(signal.SIGCONT)
    assert said(first) == "lost True"
    assert told(second) == "acted 2"
    assert acts(engine) == [2]


def test_a_holder_that_was_stopped_for_less_than_its_term_goes_on(start: Start) -> None:
    first = start("first")
    assert said(first) == "held 1"
    first.send_signal(signal.SIGSTOP)
    first.send_signal(signal.SIGCONT)
    assert told(first) == "acted 1"


def test_of_many_that_start_at_once_one_holds_the_lease_and_each_follows_in_turn(
    start: Start, engine: sa.Engine
) -> None:
    leases = Leases(engine)
    waiting = {name: start(name) for name in ("one", "two", "three", "four")}
    for epoch in range(1, len(waiting) + 1):
        while (holding := leases.holding("conductor")) is None or holding.epoch != epoch:
            time.sleep(0.01)
        holder = waiting.pop(holding.holder)
        assert said(holder) == f"held {epoch}"
        assert told(holder) == f"acted {epoch}"
        holder.kill()
        holder.wait()
    assert acts(engine) == [1, 2, 3, 4]


def test_a_holder_that_ends_by_itself_lets_the_next_in_at_once(start: Start, engine: sa.Engine) -> None:
    first = start("first")
    assert said(first) == "held 1"
    assert first.stdin is not None
    first.stdin.close()
    first.wait()
    assert Leases(engine).acquire("conductor", "second", TERM) is not None


def test_nobody_takes_over_before_a_transaction_that_checked_the_lease_has_ended(engine: sa.Engine) -> None:
    leases = Leases(engine)
    lease = leases.acquire("conductor", "first", 0.3)
    assert lease is not None
    order: list[str] = []

    def take() -> None:
        with leases.held("conductor", "second", 60) as held:
            assert held is not None
            order.append("taken")

    other = threading.Thread(target=take)
    with engine.begin() as connection:
        lease.check(connection)
        other.start()
        over = None
        # Time enough for one that does not wait; a slow one only makes the test weaker, never fail.
        while over is None or time.monotonic() < over:
            connection.execute(sa.text("SELECT 1"))
            time.sleep(0.01)
            if over is None and leases.holding("conductor") is None:
                over = time.monotonic() + 0.5
        order.append("committed")
    other.join(60)
    assert order == ["committed", "taken"]
    with pytest.raises(LeaseLostError), engine.begin() as connection:
        lease.check(connection)


def test_a_holder_that_hangs_within_its_transaction_delays_the_next_by_no_more_than_its_term(
    request: pytest.FixtureRequest,
) -> None:
    engine = open_engine(request.getfixturevalue("postgres_database"))
    leases = Leases(engine)
    lease = leases.acquire("conductor", "first", 0.5)
    assert lease is not None
    with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
        lease.check(connection)
        with leases.held("conductor", "second", 60, patience=60) as held:
            assert held is not None
        connection.execute(sa.text("SELECT 1"))
    engine.dispose()


def test_tables_are_made_by_many_at_once(engine: sa.Engine) -> None:
    failed: list[BaseException] = []

    def make() -> None:
        try:
            Leases(engine)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test is to say it
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
