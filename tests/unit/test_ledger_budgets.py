"""Limits, the thresholds on the way to them, and quotas that are charged at once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from maestro.errors import InputError
from maestro.ledger.model import (
    PULL_REQUEST_DEFAULT,
    BudgetExceededError,
    Scope,
    Unit,
)
from maestro.ledger.store import Ledger
from tests.unit.ledger_of_ada import LATER, PULL, RUN, STEP, TOKENS, USD, WHO, kinds, ledger, limit, numbers, url

__all__ = ["ledger", "url"]

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
