"""What the ledger promises to one caller; what it promises to many at once is in the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from maestro.errors import InputError, MaestroError
from maestro.ledger.errors import LedgerUnavailableError, ReservationClosedError, UnknownReservationError
from maestro.ledger.model import (
    PULL_REQUEST_DEFAULT,
    Attribution,
    BudgetExceededError,
    Charge,
    Scope,
    Unit,
)
from maestro.ledger.names import MOST
from maestro.ledger.operations import Companion, Settle
from maestro.ledger.store import Ledger

USD, TOKENS = Unit.USD, Unit.TOKENS
PULL = Scope("pull_request", "acme/app#7")
RUN = Scope("run", "r1")
STEP = Scope("step", "r1/review")
WHO = Attribution("acme", "app", 7, "r1", "review", "ada")
LATER = timedelta(days=1)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url, patience=0.2) as ledger:
        yield ledger
        assert ledger.check() == []


def limit(ledger: Ledger, scope: Scope, amount: int | None, unit: Unit = USD) -> None:
    ledger.set_limit(scope, unit, amount, actor="ada", reason="agreed")


def numbers(ledger: Ledger, scope: Scope = RUN, unit: Unit = USD) -> tuple[int, int]:
    balance = ledger.balance(scope, unit)
    return balance.spent, balance.reserved


def kinds(ledger: Ledger) -> list[tuple[str, int]]:
    return [(charge.kind, charge.amount) for charge in ledger.charges()]


def lose(ledger: Ledger) -> None:
    """Lets every lease run out."""
    ledger.expire(datetime.now(UTC) + LATER)


# Reserving.


def test_an_amount_is_reserved_in_every_scope_it_lies_in(ledger: Ledger) -> None:
    reservation = ledger.reserve("one", WHO, {USD: 5})
    assert [str(scope).partition("@")[0] for scope in reservation.scopes] == [
        *("tenant:acme", "tenant:acme", "project:acme/app", "project:acme/app"),
        *("pull_request:acme/app#7", "run:r1", "step:r1/review"),
    ]
    assert {numbers(ledger, scope) for scope in reservation.scopes} == {(0, 5)}


def test_the_lease_ends_after_its_seconds(ledger: Ledger) -> None:
    before = datetime.now(UTC)
    ends = ledger.reserve("one", WHO, {USD: 5}, lease=60).expires
    assert before + timedelta(seconds=59) < ends < datetime.now(UTC) + timedelta(seconds=61)


@pytest.mark.parametrize("scope", [Scope("tenant", "acme"), Scope("project", "acme/app"), PULL, RUN, STEP])
def test_what_one_scope_does_not_hold_is_reserved_in_none(ledger: Ledger, scope: Scope) -> None:
    limit(ledger, scope, 4)
    with pytest.raises(BudgetExceededError, match=rf"the budget of {scope} is .* and this needs up to") as refused:
        ledger.reserve("one", WHO, {USD: 5})
    assert refused.value.balance.scope == scope
    assert numbers(ledger, Scope("tenant", "acme")) == (0, 0)
    ledger.reserve("one", WHO, {USD: 4})


def test_a_refusal_says_what_is_spent_and_reserved_and_who_can_raise_it(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 6_000_000_000})
    ledger.settle("one", {USD: 5_000_000_000})
    ledger.reserve("two", WHO, {USD: 4_000_000_000})
    with pytest.raises(BudgetExceededError) as refused:
        ledger.reserve("three", WHO, {USD: 1_500_000_000})
    assert str(refused.value) == (
        "the budget of pull_request:acme/app#7 is $10.00: $5.00 are spent and $4.00 reserved, and this needs up to $1.50"
        "\n  next: ask whoever may run `maestro budget set pull_request:acme/app#7 usd=… --reason …`"
    )


def test_of_several_budgets_that_do_not_hold_it_the_tightest_is_named(ledger: Ledger) -> None:
    limit(ledger, Scope("tenant", "acme"), 4)
    limit(ledger, RUN, 2)
    with pytest.raises(BudgetExceededError, match="the budget of run:r1"):
        ledger.reserve("one", WHO, {USD: 5})


def test_units_are_reserved_together_or_not_at_all(ledger: Ledger) -> None:
    limit(ledger, RUN, 100, TOKENS)
    with pytest.raises(BudgetExceededError, match="the budget of run:r1 is 100 tokens"):
        ledger.reserve("one", WHO, {USD: 5, TOKENS: 101})
    assert numbers(ledger) == (0, 0)


def test_a_limit_of_nothing_refuses_everything_that_costs_and_nothing_that_is_free(ledger: Ledger) -> None:
    limit(ledger, RUN, 0)
    with pytest.raises(BudgetExceededError):
        ledger.reserve("one", WHO, {USD: 1})
    ledger.reserve("free", WHO, {USD: 0})
    assert ledger.settle("free", {USD: 0}) == ()


def test_no_limit_means_no_limit_even_where_there_is_a_default(ledger: Ledger) -> None:
    limit(ledger, PULL, None)
    ledger.reserve("one", WHO, {USD: 50 * PULL_REQUEST_DEFAULT})
    assert ledger.balance(PULL, USD).left is None


def test_a_workflow_lowers_what_was_granted(ledger: Ledger) -> None:
    with pytest.raises(BudgetExceededError, match=r"next: raise `budget\.run` in maestro\.yaml"):
        ledger.reserve("one", WHO, {USD: 5}, limits={RUN: {USD: 4}})


def test_a_workflow_cannot_raise_what_was_granted(ledger: Ledger) -> None:
    limit(ledger, RUN, 4)
    with pytest.raises(BudgetExceededError):
        ledger.reserve("one", WHO, {USD: 5}, limits={RUN: {USD: 10**12}, PULL: {USD: 10**12}})


def test_the_same_id_is_the_same_reservation(ledger: Ledger) -> None:
    first = ledger.reserve("one", WHO, {USD: 5})
    assert ledger.reserve("one", WHO, {USD: 5}) == first
    assert numbers(ledger) == (0, 5)


def test_an_id_cannot_be_used_for_something_else(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    with pytest.raises(InputError, match="'one' was reserved before, for something else"):
        ledger.reserve("one", WHO, {USD: 6})
    with pytest.raises(InputError, match="'one' was reserved before, for something else"):
        ledger.reserve("one", replace(WHO, step="other"), {USD: 5})


def test_an_id_that_was_used_up_reserves_nothing(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    ledger.settle("one", {USD: 5})
    with pytest.raises(ReservationClosedError, match="the reservation 'one' is over: it was settled"):
        ledger.reserve("one", WHO, {USD: 5})


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({USD: -1}, "-1 is no amount of usd"),
        ({USD: MOST + 1}, "is no amount of usd the ledger can hold"),
        ({USD: 1.5}, "1.5 is no amount of usd"),
        ({USD: True}, "True is no amount of usd"),
        ({"euro": 1}, "'euro' is no unit of budgets"),
    ],
)
def test_an_amount_that_is_none_is_refused(ledger: Ledger, amounts: dict[Unit, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ledger.reserve("one", WHO, amounts)
    with pytest.raises(InputError, match=message):
        ledger.settle("one", amounts)
    assert ledger.reservations() == []


@pytest.mark.parametrize("lease", [0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_lease_that_is_none_is_refused(ledger: Ledger, lease: float) -> None:
    with pytest.raises(InputError, match="is none"):
        ledger.reserve("one", WHO, {USD: 5}, lease=lease)


def test_the_largest_amount_is_counted_exactly_and_nothing_beyond_it(ledger: Ledger) -> None:
    limit(ledger, PULL, None)
    ledger.reserve("one", WHO, {USD: MOST})
    ledger.settle("one", {USD: MOST})
    assert numbers(ledger) == (MOST, 0)
    with pytest.raises(InputError, match="the ledger cannot count so much of usd for tenant:acme"):
        ledger.reserve("two", WHO, {USD: 1})


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


# Thresholds.


def test_each_threshold_is_crossed_once_per_limit(ledger: Ledger) -> None:
    limit(ledger, RUN, 100)
    crossed = [ledger.reserve(str(part), WHO, {USD: amount}).crossed for part, amount in enumerate([79, 1, 15, 5])]
    assert [[one.level for one in some] for some in crossed] == [[], [80], [95], [100]]
    assert {one.scope for some in crossed for one in some} == {RUN}
    ledger.release("3")
    assert ledger.reserve("again", WHO, {USD: 5}).crossed == ()
    assert [one.level for one in ledger.crossings()] == [80, 95, 100]


def test_one_large_step_crosses_all_it_passes(ledger: Ledger) -> None:
    limit(ledger, RUN, 100)
    assert [one.level for one in ledger.reserve("one", WHO, {USD: 100}).crossed] == [80, 95, 100]


def test_another_limit_has_thresholds_of_its_own(ledger: Ledger) -> None:
    limit(ledger, RUN, 100)
    ledger.reserve("one", WHO, {USD: 80})
    limit(ledger, RUN, 200)
    assert [(one.level, one.limit) for one in ledger.reserve("two", WHO, {USD: 80}).crossed] == [(80, 200)]


def test_the_limit_of_a_workflow_has_thresholds_too(ledger: Ledger) -> None:
    crossed = ledger.reserve("one", WHO, {USD: 9}, limits={STEP: {USD: 10}}).crossed
    assert [(one.scope, one.level, one.limit) for one in crossed] == [(STEP, 80, 10)]


def test_a_limit_lowered_below_what_is_used_crosses_at_once_and_refuses_what_comes_next(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 90})
    crossed = ledger.set_limit(RUN, USD, 50, actor="ada", reason="too much")
    assert [(one.level, one.used) for one in crossed] == [(80, 90), (95, 90), (100, 90)]
    with pytest.raises(BudgetExceededError):
        ledger.reserve("two", WHO, {USD: 1})
    ledger.settle("one", {USD: 90})
    assert numbers(ledger) == (90, 0)


def test_crossings_are_taken_once(ledger: Ledger) -> None:
    limit(ledger, RUN, 100)
    ledger.reserve("one", WHO, {USD: 96})
    assert [one.level for one in ledger.take_crossings()] == [80, 95]
    assert ledger.take_crossings() == []
    assert len(ledger.crossings()) == 2
    assert ledger.crossings(datetime.now(UTC) + LATER) == []


# Limits.


def test_limits_are_listed_with_who_set_them_and_why(ledger: Ledger) -> None:
    ledger.set_limit(Scope("tenant", "acme", "*"), USD, 7, actor="ada", reason="agreed in spring")
    limit(ledger, RUN, None, TOKENS)
    (found,) = ledger.limits("tenant:")
    assert (str(found.scope), found.limit, found.actor, found.reason) == ("tenant:acme@*", 7, "ada", "agreed in spring")
    assert len(ledger.limits()) == 2


def test_a_limit_of_every_month_holds_in_this_one(ledger: Ledger) -> None:
    limit(ledger, Scope("tenant", "acme", "*"), 4)
    with pytest.raises(BudgetExceededError, match=r"(?s)the budget of tenant:acme@\d{4}-\d\d is.*wait for"):
        ledger.reserve("one", WHO, {USD: 5})


def test_a_cleared_limit_lets_the_default_count_again(ledger: Ledger) -> None:
    limit(ledger, PULL, None)
    ledger.clear_limit(PULL, USD, actor="ada", reason="done")
    assert ledger.balance(PULL, USD).limit == PULL_REQUEST_DEFAULT
    assert ledger.limits() == []


@pytest.mark.parametrize(
    ("scope", "amount", "actor", "reason", "message"),
    [
        (RUN, -1, "ada", "r", "-1 is no amount of usd"),
        (RUN, 1, "", "r", "no actor is given"),
        (RUN, 1, "ada", "", "no reason is given"),
        (Scope("run", "a", "2026-11"), 1, "ada", "r", "can have no month"),
        (Scope("town", "a"), 1, "ada", "r", "'town' is no kind of scope"),  # type: ignore[arg-type]  # There is none.
    ],
)
def test_a_limit_that_is_none_is_refused(
    ledger: Ledger, scope: Scope, amount: int, actor: str, reason: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ledger.set_limit(scope, USD, amount, actor=actor, reason=reason)


# Quotas.


def test_a_quota_is_charged_at_once_or_refused(ledger: Ledger) -> None:
    tenant = Scope("tenant", "acme")
    limit(ledger, tenant, 2, Unit.RUNS)
    ledger.spend(WHO, {Unit.RUNS: 1}, {"run": "r1"})
    ledger.spend(WHO, {Unit.RUNS: 1})
    with pytest.raises(BudgetExceededError, match="the budget of tenant:acme is 2 runs"):
        ledger.spend(WHO, {Unit.RUNS: 1})
    assert numbers(ledger, tenant, Unit.RUNS) == (2, 0)
    assert kinds(ledger) == [("quota", 1), ("quota", 1)]


def test_a_quota_that_is_used_already_is_charged_beyond_its_limit(ledger: Ledger) -> None:
    limit(ledger, RUN, 60, Unit.MINUTES)
    crossed = ledger.spend(WHO, {Unit.MINUTES: 90}, refuse=False)
    assert [one.level for one in crossed] == [80, 95, 100]
    assert numbers(ledger, RUN, Unit.MINUTES) == (90, 0)


def test_a_quota_with_an_id_is_charged_once(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.spend(WHO, {Unit.GIGABYTES: 5}, id="upload")
    assert numbers(ledger, RUN, Unit.GIGABYTES) == (5, 0)
    with pytest.raises(InputError, match="'upload' was charged before, for something else"):
        ledger.spend(WHO, {Unit.GIGABYTES: 6}, id="upload")


def test_money_is_not_charged_without_being_reserved(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="money is not charged at once"):
        ledger.spend(WHO, {USD: 1})


# Other things written with it, and reading.


OTHERS = sa.Table("others", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True))


def other(name: str) -> Companion:
    """A row of somebody else's table."""
    return Companion("INSERT INTO others (name) VALUES (?)", (name,))


def others(ledger: Ledger) -> list[str]:
    with ledger.engine.begin() as connection:
        return list(connection.execute(sa.select(OTHERS.c.name)).scalars())


def test_what_is_written_with_a_reservation_is_there_exactly_when_it_is(ledger: Ledger) -> None:
    OTHERS.metadata.create_all(ledger.engine)
    limit(ledger, RUN, 5)
    ledger.reserve("one", WHO, {USD: 5}, also=[other("decision")])
    ledger.reserve("one", WHO, {USD: 5}, also=[other("decision")])
    with pytest.raises(BudgetExceededError):
        ledger.reserve("two", WHO, {USD: 1}, also=[other("never")])
    ledger.settle("one", {USD: 1}, also=[other("outcome")])
    assert others(ledger) == ["decision", "outcome"]


def test_a_reservation_is_not_made_when_what_belongs_to_it_cannot_be_written(ledger: Ledger) -> None:
    OTHERS.metadata.create_all(ledger.engine)
    ledger.reserve("one", WHO, {USD: 5}, also=[other("same")])
    with pytest.raises(MaestroError, match="what belongs to it cannot be written beside the ledger: UNIQUE"):
        ledger.reserve("two", WHO, {USD: 5}, also=[other("same")])
    assert numbers(ledger) == (0, 5)


def test_balances_show_limits_nobody_has_used_yet(ledger: Ledger) -> None:
    (balance,) = ledger.balances([PULL])
    assert (balance.limit, balance.used, balance.source) == (PULL_REQUEST_DEFAULT, 0, "default")
    (lowered,) = ledger.balances([PULL], limits={PULL: {USD: 3}})
    assert (lowered.limit, lowered.source) == (3, "workflow")
    assert ledger.balances([RUN]) == []


def test_charges_are_found_by_whom_what_and_when(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    ledger.reserve("two", replace(WHO, pull_request=8), {USD: 5})
    ledger.settle("one", {USD: 1}, model="a")
    ledger.settle("two", {USD: 2}, model="b")
    assert [charge.amount for charge in ledger.charges(model="b")] == [2]
    assert [charge.amount for charge in ledger.charges(pull_request=7, tenant="acme")] == [1]
    assert list(ledger.charges(until=datetime.now(UTC) - LATER)) == []
    assert len(list(ledger.charges(since=datetime.now(UTC) - LATER, run=None))) == 2
    with pytest.raises(InputError, match="charges cannot be asked for by 'town'"):
        ledger.charges(town="x")


def test_charges_are_read_to_the_end_page_by_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.ledger.reading._PAGE", 2)
    for part in range(5):
        ledger.spend(WHO, {Unit.RUNS: part})
    assert [charge.amount for charge in ledger.charges()] == [0, 1, 2, 3, 4]


def test_scopes_that_were_ever_used_are_listed(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    assert ledger.scopes("run:") == [RUN]
    assert len(ledger.scopes()) == 7


def test_sums_that_were_tampered_with_are_found(url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.reserve("one", WHO, {USD: 5})
        ledger.settle("one", {USD: 3})
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE maestro_ledger_sums SET spent = 2 WHERE scope = 'run::r1'")
        assert [str(one) for one in ledger.check()] == ["run:r1: spent usd is 2, and adds up to 3"]
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE maestro_ledger_sums SET spent = 3 WHERE scope = 'run::r1'")
            connection.exec_driver_sql("""UPDATE maestro_ledger_reservations SET actual = '{"usd": 2}'""")
        assert [str(one) for one in ledger.check()] == ["one: charged usd is 2, and adds up to 3"]


def test_a_sum_below_nothing_is_not_even_written(ledger: Ledger) -> None:
    ledger.reserve("one", WHO, {USD: 5})
    with pytest.raises(sa.exc.IntegrityError), ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE maestro_ledger_sums SET spent = -1")


def test_a_ledger_that_cannot_be_kept_there_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="the ledger's folder cannot be made"):
        Ledger.open(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")
    with pytest.raises(InputError, match="cannot be kept in mysql"):
        Ledger.open("mysql://localhost/x")
    (tmp_path / "garbage.db").write_bytes(b"no database " * 1000)
    with pytest.raises(MaestroError, match="not a database"):
        Ledger.open(f"sqlite:///{tmp_path / 'garbage.db'}")


def test_without_its_tables_nothing_is_reserved(url: str) -> None:
    with Ledger.open(url, patience=0.0) as ledger:
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE maestro_ledger_sums")
        with pytest.raises(LedgerUnavailableError, match="the ledger's database does not answer: no such table"):
            ledger.reserve("one", WHO, {USD: 5})
        with pytest.raises(LedgerUnavailableError):
            ledger.check()
