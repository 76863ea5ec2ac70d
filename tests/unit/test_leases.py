"""Leases by themselves: who gets one, who has it, how it is lost. What killed and stopped processes do is elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.errors import InputError, MaestroError
from maestro.server.database import open_engine
from maestro.server.leases import Held, Lease, LeaseLostError, Leases

LONG = 3600.0
SHORT = 0.3


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'server.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def leases(engine: sa.Engine) -> Leases:
    return Leases(engine)


def taken(leases: Leases, holder: str, seconds: float = LONG) -> Lease:
    lease = leases.acquire("conductor", holder, seconds)
    assert lease is not None
    return lease


def run_out(leases: Leases) -> None:
    while leases.holding("conductor") is not None:
        pass


def test_a_free_lease_is_taken_and_says_who_has_it(leases: Leases) -> None:
    assert leases.holding("conductor") is None
    lease = taken(leases, "one")
    holding = leases.holding("conductor")
    assert holding is not None
    assert (holding.holder, holding.epoch) == ("one", lease.epoch)
    assert 0 < holding.remaining <= LONG


def test_a_lease_that_is_held_is_not_given_again_to_anybody(leases: Leases) -> None:
    taken(leases, "one")
    assert leases.acquire("conductor", "two", LONG) is None
    assert leases.acquire("conductor", "one", LONG) is None


def test_leases_of_different_names_have_nothing_to_do_with_each_other(leases: Leases) -> None:
    taken(leases, "one")
    assert leases.acquire("sender", "two", LONG) is not None


def test_a_released_lease_is_free_at_once_and_its_epoch_counts_on(leases: Leases) -> None:
    first = taken(leases, "one")
    assert leases.release(first)
    second = taken(leases, "two")
    assert second.epoch == first.epoch + 1


def test_a_lease_that_ran_out_is_free_and_its_holder_can_neither_renew_nor_release_it(leases: Leases) -> None:
    first = taken(leases, "one", SHORT)
    run_out(leases)
    assert not leases.renew(first)
    second = taken(leases, "two")
    assert second.epoch == first.epoch + 1
    assert not leases.renew(first)
    assert not leases.release(first)
    assert leases.renew(second)


def test_renewing_gives_a_whole_term(leases: Leases) -> None:
    lease = taken(leases, "one", LONG)
    longer = Lease(lease.name, lease.holder, lease.epoch, 2 * LONG)
    assert leases.renew(longer)
    holding = leases.holding("conductor")
    assert holding is not None
    assert holding.remaining > LONG


def test_who_saw_the_holder_end_takes_over_before_the_term_is_over(leases: Leases) -> None:
    taken(leases, "one")
    ended = leases.holding("conductor")
    assert ended is not None
    lease = leases.take_over(ended, "two", LONG)
    assert lease is not None
    assert lease.epoch == ended.epoch + 1


def test_taking_over_from_a_holder_that_changed_meanwhile_is_refused(leases: Leases) -> None:
    first = taken(leases, "one")
    ended = leases.holding("conductor")
    assert ended is not None
    leases.release(first)
    taken(leases, "two")
    assert leases.take_over(ended, "three", LONG) is None


def test_a_check_under_an_old_epoch_stops_the_transaction(leases: Leases, engine: sa.Engine) -> None:
    old = taken(leases, "one")
    leases.release(old)
    current = taken(leases, "one")
    with engine.begin() as connection:
        current.check(connection)
    with pytest.raises(LeaseLostError, match="the lease 'conductor' was lost"), engine.begin() as connection:
        old.check(connection)


def test_a_check_of_a_lease_that_ran_out_fails_even_when_nobody_took_it(leases: Leases, engine: sa.Engine) -> None:
    lease = taken(leases, "one", SHORT)
    run_out(leases)
    with pytest.raises(LeaseLostError), engine.begin() as connection:
        lease.check(connection)


def test_waiting_for_a_held_lease_ends_with_patience(leases: Leases) -> None:
    taken(leases, "one")
    with leases.held("conductor", "two", LONG, patience=0.0) as held:
        assert held is None


def test_waiting_for_a_held_lease_ends_when_told_to_stop(leases: Leases) -> None:
    taken(leases, "one")
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    with leases.held("conductor", "two", LONG, stop=stop) as held:
        assert held is None


def test_a_held_lease_is_free_after_the_block(leases: Leases) -> None:
    with leases.held("conductor", "one", LONG) as held:
        assert held is not None
        assert held.alive
        held.require()
        assert leases.acquire("conductor", "two", LONG) is None
    taken(leases, "two")


def test_a_held_lease_outlives_its_term(leases: Leases) -> None:
    with leases.held("conductor", "one", 1.5) as held:
        assert held is not None
        with leases.held("conductor", "two", SHORT, patience=2.0) as other:
            assert other is None
        assert held.alive


def test_a_holder_is_told_that_another_took_over(leases: Leases) -> None:
    with leases.held("conductor", "one", SHORT) as held:
        assert held is not None
        holding = leases.holding("conductor")
        assert holding is not None
        assert leases.take_over(holding, "two", LONG) is not None
        assert held.lost.wait(30)
        assert not held.alive
        with pytest.raises(LeaseLostError):
            held.require()
    still = leases.holding("conductor")
    assert still is not None
    assert still.holder == "two"


def test_a_holder_whose_database_does_not_answer_gives_up_after_its_term(leases: Leases, engine: sa.Engine) -> None:
    with leases.held("conductor", "one", SHORT) as held:
        assert held is not None
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE maestro_leases RENAME TO away")
        assert held.lost.wait(30)
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO maestro_leases")


def test_a_holder_survives_a_database_that_is_away_for_less_than_its_term(leases: Leases, engine: sa.Engine) -> None:
    lease = taken(leases, "one", LONG)
    held = Held(leases, lease, time.clock_gettime(time.CLOCK_BOOTTIME))
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE maestro_leases RENAME TO away")
    held.renew()
    assert held.alive
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO maestro_leases")
    held.close()
    taken(leases, "two")


def test_waiting_outlasts_a_database_that_does_not_answer(leases: Leases, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE maestro_leases RENAME TO away")

    def back() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO maestro_leases")

    threading.Timer(0.1, back).start()
    with leases.held("conductor", "one", SHORT) as held:
        assert held is not None


def test_a_database_that_does_not_answer_is_said_without_its_address(leases: Leases, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE maestro_leases")
    with pytest.raises(MaestroError, match="the server's database does not answer: no such table"):
        leases.acquire("conductor", "one", LONG)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.01, float("nan")])
def test_a_term_too_short_to_be_renewed_is_refused(leases: Leases, seconds: float) -> None:
    with pytest.raises(InputError, match="runs out before it can be renewed"):
        leases.acquire("conductor", "one", seconds)


@pytest.mark.parametrize(("name", "holder"), [("", "one"), ("conductor", "")])
def test_a_lease_without_name_or_holder_is_refused(leases: Leases, name: str, holder: str) -> None:
    with pytest.raises(InputError, match="a lease needs a name and a holder"), leases.held(name, holder, LONG):
        pass
