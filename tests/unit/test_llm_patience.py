"""How long a request waits for money that other calls have reserved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest

from maestro.ledger.model import NANO, Balance, BudgetExceededError, Scope, Unit
from maestro.llm.patience import Patience, money_back

RUN, STEP = Scope("run", "r"), Scope("step", "s")
FOR_LONG = 3600.0


def usd(spent: int, reserved: int, *, scope: Scope = RUN, limit: int | None = 10) -> Balance:
    whole = None if limit is None else limit * NANO
    return Balance(scope, Unit.USD, whole, spent * NANO, reserved * NANO)


def waited(
    first: Balance, *looks: Sequence[Balance], asked: int = 3, seconds: float = FOR_LONG
) -> tuple[list[str], BudgetExceededError | None]:
    """What was told, and how it ended; ``looks`` are what the ledger says one time after another."""
    told: list[str] = []
    seen: Iterator[Sequence[Balance]] = iter(looks)
    patience = Patience(time.monotonic() + seconds, tell=told.append)
    try:
        asyncio.run(money_back(BudgetExceededError(first, asked * NANO), patience, lambda: next(seen)))
    except BudgetExceededError as error:
        return told, error
    return told, None


def test_it_waits_until_what_is_needed_is_free_and_tells_once_for_what() -> None:
    told, error = waited(usd(0, 8), [usd(0, 8)], [usd(1, 8)], [usd(1, 4)])
    assert (told, error) == (["waits for $8.00 that other calls have reserved"], None)


def test_money_that_is_back_already_is_not_waited_for() -> None:
    assert waited(usd(0, 8), [usd(1, 0)]) == ([], None)


def test_what_is_spent_does_not_come_back_so_nobody_waits() -> None:
    told, error = waited(usd(8, 1))
    assert told == []
    assert error is not None
    assert error.what == "the budget of run:r is $10.00: $8.00 are spent and $1.00 reserved, and this needs up to $3.00"


def test_it_ends_when_the_others_have_spent_too_much_meanwhile() -> None:
    told, error = waited(usd(0, 8), [usd(0, 8)], [usd(8, 1)])
    assert len(told) == 1
    assert error is not None
    assert error.balance.spent == 8 * NANO


def test_another_budget_that_is_spent_ends_it_too() -> None:
    told, error = waited(usd(0, 8), [usd(0, 8), usd(2, 0, scope=STEP, limit=4)])
    assert told == []
    assert error is not None
    assert error.balance.scope == STEP


def test_scopes_without_a_limit_and_other_units_do_not_count() -> None:
    tokens = Balance(RUN, Unit.TOKENS, 1, 1, 0)
    assert waited(usd(0, 8), [usd(1, 0), usd(500, 500, scope=STEP, limit=None), tokens]) == ([], None)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_without_time_the_refusal_stands(seconds: float) -> None:
    told, error = waited(usd(0, 8), [usd(0, 8)], seconds=seconds)
    assert told == []
    assert error is not None
    assert error.asked == 3 * NANO
