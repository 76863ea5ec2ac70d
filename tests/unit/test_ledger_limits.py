"""Which limit holds, and which thresholds an amount has reached."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maestro.ledger.limits import Limit, effective, levels
from maestro.ledger.model import PULL_REQUEST_DEFAULT, Scope, Unit
from maestro.ledger.names import key_of

PULL = Scope("pull_request", "acme/app#7")
MONTH = Scope("tenant", "acme", "2026-11")
USD = Unit.USD


def own(scope: Scope, amount: int | None) -> dict[tuple[str, str], Limit]:
    return {(key_of(scope), "usd"): Limit(amount, "ada")}


def test_a_pull_request_has_ten_dollars_when_nobody_said_otherwise() -> None:
    assert effective(PULL, USD, {}, {}) == Limit(PULL_REQUEST_DEFAULT, "default")


def test_other_scopes_and_units_are_not_limited_by_default() -> None:
    assert effective(MONTH, USD, {}, {}).amount is None
    assert effective(PULL, Unit.TOKENS, {}, {}).amount is None


def test_what_a_person_set_counts_instead_of_the_default_higher_or_lower() -> None:
    assert effective(PULL, USD, own(PULL, 50 * 10**9), {}) == Limit(50 * 10**9, "ada")
    assert effective(PULL, USD, own(PULL, 0), {}) == Limit(0, "ada")


def test_no_limit_set_by_a_person_lifts_the_default() -> None:
    assert effective(PULL, USD, own(PULL, None), {}) == Limit(None, "ada")


def test_a_pattern_counts_where_nothing_more_particular_does() -> None:
    pattern = own(Scope("pull_request", "acme/app#*"), 3)
    assert effective(PULL, USD, pattern, {}).amount == 3
    assert effective(PULL, USD, {**pattern, **own(PULL, 4)}, {}).amount == 4
    assert effective(Scope("pull_request", "acme/other#7"), USD, pattern, {}).amount == PULL_REQUEST_DEFAULT


def test_every_month_has_the_limit_of_the_pattern_of_months() -> None:
    assert effective(MONTH, USD, own(Scope("tenant", "acme", "*"), 5), {}).amount == 5
    assert effective(Scope("tenant", "acme"), USD, own(Scope("tenant", "acme", "*"), 5), {}).amount is None


def test_a_workflow_lowers_a_limit_and_never_raises_it() -> None:
    lower, higher = {key_of(PULL): {"usd": 2}}, {key_of(PULL): {"usd": 10**12}}
    assert effective(PULL, USD, {}, lower) == Limit(2, "workflow")
    assert effective(PULL, USD, {}, higher) == Limit(PULL_REQUEST_DEFAULT, "default")
    assert effective(PULL, USD, own(PULL, 1), lower) == Limit(1, "ada")
    assert effective(PULL, USD, own(PULL, None), lower) == Limit(2, "workflow")


def test_thresholds_are_reached_at_exactly_their_share() -> None:
    assert levels(79, 100) == ()
    assert levels(80, 100) == (80,)
    assert levels(95, 100) == (80, 95)
    assert levels(100, 100) == (80, 95, 100)
    assert levels(150, 100) == (80, 95, 100)
    assert levels(10, None) == ()
    assert levels(0, 0) == ()
    assert levels(1, 0) == (80, 95, 100)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_the_whole_limit_is_reached_only_by_the_whole_limit(used: int, limit: int) -> None:
    assert (100 in levels(used, limit)) == (0 < used >= limit)
