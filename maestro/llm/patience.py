"""Waiting for money that other calls have reserved and will not need: a reservation is the worst case."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maestro.ledger.model import Balance, BudgetExceededError, shown

FIRST_SECONDS, LONGEST_SECONDS = 0.05, 1.0
"""Between two looks at the budgets; other processes give money back too, so there is nothing to be woken by."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request waits for reserved money.

    Args:
        until: ``time.monotonic()`` at which it gives up.
        deadline: ``time.monotonic()`` at which the answer itself has to be there; waiting does not move it.
        tell: given one sentence each time a wait begins; called in the gateway's thread.
    """

    until: float
    deadline: float = float("inf")
    tell: Callable[[str], None] = lambda _sentence: None


async def money_back(error: BudgetExceededError, patience: Patience, read: Callable[[], Sequence[Balance]]) -> None:
    """Returns when what ``error`` says was asked may fit again.

    Args:
        read: the balances of all scopes of the request; called in a thread.

    Raises:
        BudgetExceededError: it cannot fit even when all reservations come back, or did not in the time there was.
    """
    unit, asked = error.balance.unit, error.asked
    if _spent(error.balance, asked):
        raise error
    told, pause = False, FIRST_SECONDS
    while True:
        lacking = [one for one in await asyncio.to_thread(read) if one.unit is unit and _lacks(one, asked)]
        for one in lacking:
            if _spent(one, asked):
                raise BudgetExceededError(one, asked)
        if lacking and time.monotonic() >= patience.until:
            raise BudgetExceededError(lacking[0], asked)
        if lacking and not told:
            patience.tell(f"waits for {shown(unit, lacking[0].reserved)} that other calls have reserved")
            told = True
        # Also where there is room again: whoever else waits has seen it too, and the ledger lets in who comes first.
        await asyncio.sleep(min(pause, max(0.0, patience.until - time.monotonic())))
        if not lacking:
            return
        pause = min(LONGEST_SECONDS, pause * 1.5)


def _lacks(balance: Balance, asked: int) -> bool:
    return balance.left is not None and balance.left < asked


def _spent(balance: Balance, asked: int) -> bool:
    """Whether what is spent already leaves no room, whatever comes back."""
    return balance.limit is not None and balance.spent + asked > balance.limit
