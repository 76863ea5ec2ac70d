"""What is settled, released, lost or corrected is charged once, and as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from maestro.errors import InputError
from maestro.ledger.errors import ReservationClosedError, UnknownReservationError
from maestro.ledger.model import (
    BudgetExceededError,
    Charge,
    Scope,
    Unit,
)
from maestro.ledger.operations import Settle
from maestro.ledger.store import Ledger
from tests.unit.ledger_of_ada import LATER, RUN, STEP, TOKENS, USD, WHO, kinds, ledger, limit, lose, numbers, url

__all__ = ["ledger", "url"]

# Settling.


def test_settling_charges_the_truth_and_gives_the_rest_back(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 9, TOKENS: 100}, decision="dec_1")
    ledger.settle("one", {USD: 3, TOKENS: 40}, model="m", provider="p", facts={"seconds": 1.5})
    assert (numbers(ledger), numbers(ledger, unit=TOKENS)) == ((3, 0), (40, 0))
    charge = next(ledger.charges(unit="usd"))
    expected = Charge("one", charge.at, WHO, USD, 3, "settled", "m", "p", "dec_1", {"seconds": 1.5})
    assert charge == replace(expected, month=charge.month, number=charge.number)
    assert charge.month == f"{charge.at:%Y-%m}"


def test_settling_twice_charges_once(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 9})
    ledger.settle("one", {USD: 3})
    assert ledger.settle("one", {USD: 3}) == ()
    assert numbers(ledger) == (3, 0)


def test_settling_for_another_amount_is_not_overlooked(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 9})
    ledger.settle("one", {USD: 3})
    with pytest.raises(InputError, match="'one' was settled before, for another amount"):
        ledger.settle("one", {USD: 4})


def test_what_nobody_reserved_cannot_be_settled_sent_released_or_adjusted(ledger: Ledger) -> None:
    for ask in (lambda: ledger.settle("x", {USD: 1}), lambda: ledger.sent("x"), lambda: ledger.release("x")):
        with pytest.raises(UnknownReservationError, match="there is no reservation 'x'"):
            ask()
    with pytest.raises(UnknownReservationError):
        ledger.adjust("x", 5, reason="r", actor="ada")


def test_more_than_was_reserved_is_charged_and_reported(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    (overdraft,) = ledger.settle("one", {USD: 8})
    assert (overdraft.overdraft, overdraft.scope, overdraft.limit, overdraft.used) == ("one", STEP, 5, 8)
    assert numbers(ledger) == (8, 0)
    assert next(ledger.charges()).facts == {"overdraft": {"usd": 3}}
    assert overdraft in ledger.crossings()


def test_an_overdraft_beyond_a_limit_stops_what_comes_next(ledger: Ledger) -> None:
    limit(ledger, RUN, 6)
    ledger.reserve("one", WHO, {USD: 5})
    crossings = ledger.settle("one", {USD: 8})
    assert [one.level for one in crossings if one.scope == RUN] == [95, 100]
    with pytest.raises(BudgetExceededError):
        ledger.reserve("two", WHO, {USD: 1})
    assert ledger.balance(RUN, USD).left == 0


def test_a_unit_that_was_not_reserved_is_charged_too(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    assert ledger.settle("one", {USD: 5, TOKENS: 70}) == ()
    assert numbers(ledger, unit=TOKENS) == (70, 0)


def test_releasing_gives_everything_back_once(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    ledger.release("one", "refused by the provider")
    ledger.release("one")
    assert (numbers(ledger), kinds(ledger)) == ((0, 0), [])


def test_what_was_settled_cannot_be_released(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    ledger.settle("one", {USD: 5})
    with pytest.raises(ReservationClosedError, match="was settled, so it cannot be released"):
        ledger.release("one")


def test_a_month_that_ends_meanwhile_is_charged_where_it_was_reserved(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    november, december = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC)
    monkeypatch.setattr("maestro.ledger.rows.time.time", november.timestamp)
    ledger.reserve("one", WHO, {USD: 5})
    monkeypatch.setattr("maestro.ledger.rows.time.time", december.timestamp)
    ledger.settle("one", {USD: 4})
    assert numbers(ledger, Scope("tenant", "acme", "2026-11")) == (4, 0)
    assert numbers(ledger, Scope("tenant", "acme", "2026-12")) == (0, 0)
    (charge,) = ledger.charges(month="2026-11")
    assert (charge.at, charge.month) == (december, "2026-11")
    assert list(ledger.charges(month="2026-12")) == []


# Callers that are lost.


def test_a_lost_caller_that_had_not_sent_its_call_costs_nothing(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    (lapsed,) = ledger.expire(datetime.now(UTC) + LATER)
    assert (lapsed.id, lapsed.state, lapsed.reason) == ("one", "released", "its lease ran out")
    assert (numbers(ledger), kinds(ledger)) == ((0, 0), [])


@pytest.mark.parametrize("at_once", [True, False])
def test_a_lost_caller_that_had_sent_its_call_is_charged_the_worst_case(ledger: Ledger, at_once: bool) -> None:
    ledger.reserve("one", WHO, {USD: 5}, sent=at_once, model="m", provider="p")
    if not at_once:
        ledger.sent("one")
    (lapsed,) = ledger.expire(datetime.now(UTC) + LATER)
    assert (lapsed.state, lapsed.actual) == ("assumed", {USD: 5})
    charge = next(ledger.charges())
    assert (charge.kind, charge.amount, charge.model, charge.provider) == ("assumed", 5, "m", "p")
    assert numbers(ledger) == (5, 0)


def test_a_lease_that_still_holds_is_left_alone(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5}, lease=3600)
    assert ledger.expire() == []
    assert ledger.expire(datetime.now(UTC) + timedelta(minutes=59)) == []
    assert numbers(ledger) == (0, 5)


def test_sending_needs_a_reservation_that_still_holds(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    lose(ledger)
    with pytest.raises(ReservationClosedError, match=r"is over: it was released \(its lease ran out\)"):
        ledger.sent("one")


def test_a_call_that_comes_back_after_it_was_assumed_is_charged_the_truth(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5}, sent=True)
    lose(ledger)
    assert ledger.settle("one", {USD: 2}) == ()
    assert numbers(ledger) == (2, 0)
    assert kinds(ledger) == [("assumed", 5), ("adjusted", -5), ("settled", 2)]


def test_a_call_that_comes_back_with_nothing_spent_after_it_was_assumed_is_charged_nothing(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5}, sent=True)
    lose(ledger)
    ledger.release("one", "it was never delivered")
    assert numbers(ledger) == (0, 0)
    assert kinds(ledger) == [("assumed", 5), ("adjusted", -5)]


def test_a_call_that_was_made_after_its_release_is_charged_and_reported(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    lose(ledger)
    (overdraft,) = ledger.settle("one", {USD: 2})
    assert (overdraft.overdraft, overdraft.limit, overdraft.used) == ("one", 0, 2)
    assert numbers(ledger) == (2, 0)


def test_a_budget_held_by_lost_callers_is_given_to_the_next(ledger: Ledger) -> None:
    limit(ledger, RUN, 5)
    ledger.reserve("lost", WHO, {USD: 5}, lease=1e-6)
    ledger.reserve("next", WHO, {USD: 5})
    assert [one.id for one in ledger.reservations()] == ["next"]


# Corrections.


def test_an_assumed_charge_is_corrected_by_a_row_that_says_why(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5}, sent=True)
    lose(ledger)
    charge = ledger.adjust("one", 1, reason="the provider's bill", actor="ada")
    assert (charge.kind, charge.amount) == ("adjusted", -4)
    assert charge.facts == {"reason": "the provider's bill", "by": "ada", "was": 5, "is": 1}
    assert numbers(ledger) == (1, 0)
    ledger.adjust("one", 6, reason="and a fee", actor="ada")
    assert numbers(ledger) == (6, 0)


def test_a_settled_charge_is_corrected_alike_and_settling_it_again_changes_nothing(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5, TOKENS: 9})
    ledger.settle("one", {USD: 8, TOKENS: 9})
    charge = ledger.adjust("one", 2, reason="the provider's bill", actor="ada")
    assert (charge.kind, charge.amount, charge.facts["by"]) == ("adjusted", -6, "ada")
    assert ledger.settle("one", {USD: 8, TOKENS: 9}) == ()
    assert (numbers(ledger), numbers(ledger, unit=TOKENS)) == ((2, 0), (9, 0))
    assert [one.amount for one in ledger.charges() if one.unit is USD] == [8, -6]
    assert ledger.check() == []


def test_what_was_charged_at_once_and_corrected_is_not_charged_again(ledger: Ledger) -> None:
    ledger.spend(WHO, {Unit.MINUTES: 60}, id="minutes")
    ledger.adjust("minutes", 30, unit=Unit.MINUTES, reason="the clock was wrong", actor="ada")
    assert ledger.spend(WHO, {Unit.MINUTES: 60}, id="minutes") == ()
    assert numbers(ledger, unit=Unit.MINUTES) == (30, 0)
    with pytest.raises(InputError, match="'minutes' was charged before, for something else"):
        ledger.spend(WHO, {Unit.MINUTES: 30}, id="minutes")


def test_a_claim_that_cannot_be_true_is_told_once_though_no_more_is_charged_than_was_reserved(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5, TOKENS: 9})
    wish = Settle("one", {USD: 5, TOKENS: 9}, facts={"implausible_usage": {"output_tokens": 10**9}}, doubtful=True)
    told = ledger.committer.perform(wish)
    assert [(one.overdraft, one.unit, one.limit, one.used) for one in told] == [
        ("one", TOKENS, 9, 9),
        ("one", USD, 5, 5),
    ]
    assert ledger.committer.perform(wish) == ()
    assert [one.unit for one in ledger.crossings()] == [TOKENS, USD]
    assert numbers(ledger) == (5, 0)


def test_only_charges_are_corrected_with_a_reason_and_by_somebody(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    ledger.release("one")
    with pytest.raises(InputError, match="'one' is released, so there is no charge to be corrected"):
        ledger.adjust("one", 1, reason="r", actor="ada")
    ledger.reserve("two", WHO, {USD: 5}, sent=True)
    lose(ledger)
    with pytest.raises(InputError, match="no reason is given"):
        ledger.adjust("two", 1, reason="", actor="ada")
    with pytest.raises(InputError, match="-1 is no amount of usd"):
        ledger.adjust("two", -1, reason="r", actor="ada")
    with pytest.raises(InputError, match="'two' has no charge of tokens"):
        ledger.adjust("two", 1, unit=TOKENS, reason="r", actor="ada")
