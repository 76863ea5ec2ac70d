"""What the ledger removes after its time, and that nobody can tell but by its size."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.errors import InputError
from maestro.ledger.errors import LedgerUnavailableError, ReservationClosedError, UnknownReservationError
from maestro.ledger.model import Attribution, Scope, Unit
from maestro.ledger.pruning import Pruned
from maestro.ledger.store import Ledger
from maestro.ledger.tables import CHARGES, CROSSINGS, RESERVATIONS

USD, TOKENS = Unit.USD, Unit.TOKENS
WHO = Attribution("acme", "app", 7, "r1", "review", "ada")
PULL = Scope("pull_request", "acme/app#7")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield ledger


def later() -> datetime:
    """When everything that was reserved here should have ended long ago."""
    return datetime.now(UTC) + timedelta(days=1)


def settle(ledger: Ledger, id: str, amount: int = 5, who: Attribution = WHO) -> None:
    ledger.reserve(id, who, {USD: 10})
    ledger.settle(id, {USD: amount, TOKENS: 3}, model="big", decision="dec_1")


def left(ledger: Ledger) -> list[str]:
    with ledger.engine.begin() as connection:
        return list(connection.execute(sa.select(RESERVATIONS.c.id).order_by(RESERVATIONS.c.id)).scalars())


def change(ledger: Ledger, statement: sa.Executable) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(statement)


def test_what_is_over_goes_and_every_charge_and_sum_stays(ledger: Ledger) -> None:
    settle(ledger, "settled")
    ledger.reserve("released", WHO, {USD: 10})
    ledger.release("released")
    ledger.spend(WHO, {Unit.RUNS: 1}, id="run:r1")
    before = list(ledger.charges()), ledger.balances(WHO.scopes())
    assert ledger.prunable(later()).reservations == 3
    assert ledger.prune(later()).reservations == 3
    assert left(ledger) == []
    assert (list(ledger.charges()), ledger.balances(WHO.scopes())) == before
    assert ledger.check() == []


def test_nothing_goes_before_ninety_days_unless_a_time_is_given(ledger: Ledger) -> None:
    settle(ledger, "young")
    settle(ledger, "old")
    long_ago = (datetime.now(UTC) - timedelta(days=91)).timestamp()
    change(ledger, RESERVATIONS.update().where(RESERVATIONS.c.id == "old").values(expires=long_ago))
    assert ledger.prunable().reservations == 1
    assert ledger.prune() == Pruned(1, 0)
    assert left(ledger) == ["young"]


def test_what_is_open_or_may_still_be_corrected_stays(ledger: Ledger) -> None:
    ledger.reserve("sent", WHO, {USD: 10}, sent=True)
    ledger.expire(later())
    ledger.reserve("open", WHO, {USD: 10}, lease=60)
    assert ledger.prune(later()).reservations == 0
    assert ledger.adjust("sent", 4, reason="as billed", actor="ada").amount == -6
    assert ledger.prune(later()).reservations == 0
    assert left(ledger) == ["open", "sent"]


def test_what_was_assumed_and_then_settled_by_its_caller_goes(ledger: Ledger) -> None:
    for id in ("slow", "nothing"):
        ledger.reserve(id, WHO, {USD: 10}, sent=True)
    ledger.expire(later())
    ledger.settle("slow", {USD: 4})
    ledger.release("nothing", "it never left")
    assert ledger.prune(later()).reservations == 2
    assert ledger.check() == []


def test_settling_a_removed_one_again_charges_nothing(ledger: Ledger) -> None:
    settle(ledger, "one")
    ledger.prune(later())
    charged = list(ledger.charges())
    assert ledger.settle("one", {USD: 5, TOKENS: 3}) == ()
    with pytest.raises(InputError, match="'one' was settled before, for another amount"):
        ledger.settle("one", {USD: 6, TOKENS: 3})
    assert list(ledger.charges()) == charged
    assert ledger.check() == []


@pytest.mark.parametrize("removed", [False, True], ids=["kept", "removed"])
def test_what_a_person_said_stands_when_it_is_settled_again(ledger: Ledger, removed: bool) -> None:
    settle(ledger, "one")
    ledger.adjust("one", 2, reason="as billed", actor="ada")
    ledger.spend(WHO, {Unit.RUNS: 1}, id="run:r1")
    ledger.adjust("run:r1", 0, reason="it never began", actor="ada", unit=Unit.RUNS)
    if removed:
        assert ledger.prune(later()).reservations == 2
    charged = list(ledger.charges())
    for amount in (2, 5, 6):
        assert ledger.settle("one", {USD: amount, TOKENS: 3}) == ()
    assert ledger.spend(WHO, {Unit.RUNS: 1}, id="run:r1") == ()
    assert list(ledger.charges()) == charged
    assert ledger.check() == []


@pytest.mark.parametrize("removed", [False, True], ids=["kept", "removed"])
def test_what_was_taken_back_since_its_caller_settled_it_is_no_correction(ledger: Ledger, removed: bool) -> None:
    ledger.reserve("slow", WHO, {USD: 10, TOKENS: 10}, sent=True)
    ledger.expire(later())
    ledger.adjust("slow", 8, reason="as billed", actor="ada")
    # All is taken back, and nothing charged after it.
    ledger.settle("slow", {})
    if removed:
        assert ledger.prune(later()).reservations == 1
    assert ledger.settle("slow", {}) == ()
    with pytest.raises(InputError, match="'slow' was settled before, for another amount"):
        ledger.settle("slow", {USD: 5})
    assert ledger.check() == []


def test_the_id_of_a_removed_one_cannot_be_used_again(ledger: Ledger) -> None:
    settle(ledger, "one")
    ledger.prune(later())
    with pytest.raises(ReservationClosedError, match="the reservation 'one' is over: it was settled"):
        ledger.reserve("one", WHO, {USD: 10})
    with pytest.raises(ReservationClosedError, match="is over"):
        ledger.sent("one")
    with pytest.raises(ReservationClosedError, match="was settled, so it cannot be released"):
        ledger.release("one")
    with pytest.raises(InputError, match="'one' was settled so long ago that its charge stands"):
        ledger.adjust("one", 1, reason="trial", actor="ada")
    assert ledger.balance(PULL, USD).used == 5


def test_a_run_that_is_resumed_after_that_time_is_still_counted_once(ledger: Ledger) -> None:
    ledger.spend(WHO, {Unit.RUNS: 1}, id="run:r1")
    ledger.prune(later())
    assert ledger.spend(WHO, {Unit.RUNS: 1}, id="run:r1") == ()
    assert ledger.balance(Scope("project", "acme/app"), Unit.RUNS).spent == 1
    with pytest.raises(InputError, match="'run:r1' was charged before, for something else"):
        ledger.spend(WHO, {Unit.RUNS: 2}, id="run:r1")


def test_of_what_was_released_and_removed_nothing_is_known_any_more(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 10})
    ledger.release("one")
    ledger.prune(later())
    with pytest.raises(UnknownReservationError, match="there is no reservation 'one'"):
        ledger.settle("one", {USD: 5})


def test_a_charge_that_is_lost_or_changed_afterwards_is_found(ledger: Ledger) -> None:
    for id in ("one", "two"):
        settle(ledger, id)
    ledger.prune(later())
    of_money = sa.and_(CHARGES.c.unit == "usd", CHARGES.c.reservation == "one")
    change(ledger, CHARGES.update().where(of_money).values(amount=6))
    assert [str(one) for one in ledger.check() if one.column == "charged"] == [
        f"removed reservations of {datetime.now(UTC):%Y-%m}: charged usd is 10, and adds up to 11"
    ]
    change(ledger, CHARGES.delete().where(of_money))
    assert {one.column for one in ledger.check()} == {"spent", "charged"}


def test_an_amount_moved_from_one_removed_reservation_to_another_is_found(ledger: Ledger) -> None:
    for id in ("one", "two"):
        settle(ledger, id)
    ledger.prune(later())
    change(ledger, CHARGES.update().where(CHARGES.c.reservation == "one", CHARGES.c.unit == "usd").values(amount=4))
    change(ledger, CHARGES.update().where(CHARGES.c.reservation == "two", CHARGES.c.unit == "usd").values(amount=6))
    (found,) = ledger.check()
    assert (found.column, found.unit) == ("fingerprint", USD)


def test_a_reservation_that_was_deleted_by_somebody_else_is_found(ledger: Ledger) -> None:
    settle(ledger, "one")
    change(ledger, RESERVATIONS.delete())
    assert {(one.column, one.recorded, one.counted) for one in ledger.check()} == {
        ("charged", 0, 5),
        ("charged", 0, 3),
    }


def test_what_does_not_come_to_its_charges_is_left_for_the_check_to_tell_of(ledger: Ledger) -> None:
    settle(ledger, "right")
    settle(ledger, "wrong")
    change(ledger, RESERVATIONS.update().where(RESERVATIONS.c.id == "wrong").values(actual='{"usd":1,"tokens":3}'))
    assert ledger.prune(later()).reservations == 1
    assert left(ledger) == ["wrong"]
    assert [(one.what, one.recorded, one.counted) for one in ledger.check()] == [("wrong", 1, 5)]


def test_it_goes_on_page_by_page_and_stops_where_it_is_told_to(ledger: Ledger) -> None:
    ledger.set_limit(PULL, USD, None, actor="ada", reason="many calls")
    for number in range(410):
        ledger.spend(WHO, {Unit.RUNS: 1}, id=f"run:{number}")
    once = iter([True, False, False])
    assert ledger.prune(later(), go_on=lambda: next(once)).reservations == 200
    assert ledger.check() == []
    assert ledger.prune(later()).reservations == 210
    assert ledger.check() == []


def test_crossings_go_once_they_were_told_and_cannot_come_again(ledger: Ledger) -> None:
    month = Scope("project", "acme/app", f"{datetime.now(UTC):%Y-%m}")
    for scope in (Scope("run", "r1"), Scope("step", "r1/review"), month, Scope("project", "acme/app"), PULL):
        ledger.set_limit(scope, USD, 10, actor="ada", reason="agreed")
    settle(ledger, "one", 10)
    assert ledger.prune(later()).crossings == 0, "nobody was told"
    ledger.take_crossings()
    assert ledger.prunable(later()).crossings == ledger.prune(later()).crossings == 9
    assert {str(one.scope) for one in ledger.crossings()} == {"project:acme/app", "pull_request:acme/app#7"}


def test_overdrafts_that_were_told_go_too(ledger: Ledger) -> None:
    settle(ledger, "one", 11, Attribution("acme", "app"))
    assert [one.overdraft for one in ledger.take_crossings()] == ["one"]
    assert ledger.prune(later()).crossings == 1


def test_a_tenant_with_a_colon_in_its_name_is_not_taken_for_a_month(ledger: Ledger) -> None:
    who = Attribution("a:2026-11:b", "app")
    ledger.set_limit(Scope("tenant", who.tenant), USD, 10, actor="ada", reason="agreed")
    settle(ledger, "one", 10, who)
    ledger.take_crossings()
    assert ledger.prune(later()).crossings == 0


def test_a_database_that_is_away_is_told(ledger: Ledger) -> None:
    change(ledger, sa.text(f"DROP TABLE {CROSSINGS.name}"))
    with pytest.raises(LedgerUnavailableError, match="no such table"):
        ledger.prune(later())
