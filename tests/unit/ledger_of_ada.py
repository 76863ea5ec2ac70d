"""A ledger for one caller, whom it is checked after."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.ledger.model import (
    Attribution,
    Scope,
    Unit,
)
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
