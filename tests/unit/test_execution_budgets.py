"""The workflow's ``budget`` in the ledger's whole numbers, for the scopes it is about."""

from __future__ import annotations

from datetime import UTC, datetime

from maestro.execution.budgets import amounts, limits_for, limits_of
from maestro.ledger.model import NANO, Attribution, Scope, Unit
from maestro.workflow.budget import Amounts, Budget

WHO = Attribution("acme", "shop", pull_request=7, run="run-1", step="all/review")


def test_amounts_become_nanodollars_seconds_and_bytes() -> None:
    assert amounts(Amounts(usd=0.1, tokens=12, runs=3, minutes=1.5, gigabytes=0.25)) == {
        Unit.USD: NANO // 10,
        Unit.TOKENS: 12,
        Unit.RUNS: 3,
        Unit.MINUTES: 90,
        Unit.GIGABYTES: 250_000_000,
    }


def test_nothing_is_a_limit_that_was_not_given_and_zero_is_one() -> None:
    assert amounts(Amounts(usd=0)) == {Unit.USD: 0}
    assert amounts(Amounts()) == {}
    assert limits_of(None) == {}
    assert limits_of(Budget()) == {}


def test_a_number_alone_is_dollars() -> None:
    assert limits_of(Budget(run=2)) == {"run": {Unit.USD: 2 * NANO}}


def test_each_limit_is_of_the_scope_of_its_kind() -> None:
    limits = limits_of(Budget(step=1, run=2, pull_request=3))
    assert limits_for(WHO, limits) == {
        Scope("pull_request", "acme/shop#7"): {Unit.USD: 3 * NANO},
        Scope("run", "run-1"): {Unit.USD: 2 * NANO},
        Scope("step", "run-1/all/review"): {Unit.USD: NANO},
    }


def test_the_month_is_the_projects_current_one_and_never_all_of_it_or_the_tenants() -> None:
    month = datetime.now(UTC).strftime("%Y-%m")
    assert limits_for(WHO, limits_of(Budget(month=4))) == {Scope("project", "acme/shop", month): {Unit.USD: 4 * NANO}}


def test_what_an_attribution_does_not_lie_in_has_no_limit() -> None:
    assert limits_for(Attribution("acme", "shop"), limits_of(Budget(step=1, run=2, pull_request=3))) == {}
