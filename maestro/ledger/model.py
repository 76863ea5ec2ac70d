"""What is budgeted: units, scopes that lie in one another, who spent it, and what was granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Literal

from maestro.errors import MaestroError

NANO = 1_000_000_000
"""Nanodollars in a United States dollar."""
_MONEY_PLACES, _MONEY_DIGITS = 4, 3
PULL_REQUEST_DEFAULT = 10 * NANO
"""What a pull request may spend when nobody has said otherwise."""


class Unit(StrEnum):
    """What is counted, always as a whole number.

    ``usd``: nanodollars. ``tokens``, ``runs``: themselves. ``minutes``: seconds. ``gigabytes``: bytes.
    """

    USD = "usd"
    TOKENS = "tokens"
    RUNS = "runs"
    MINUTES = "minutes"
    GIGABYTES = "gigabytes"


ScopeKind = Literal["tenant", "project", "pull_request", "run", "step"]


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """Whose budget: all of it, or that of one calendar month (UTC).

    Args:
        name: ``acme``, ``acme/app``, ``acme/app#7``, a run's id, ``<run>/<step>``.
        month: ``2026-11``; None: for ever.
    """

    kind: ScopeKind
    name: str
    month: str | None = None

    def __str__(self) -> str:
        text = f"{self.kind}:{self.name}"
        return f"{text}@{self.month}" if self.month else text


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whom an amount is charged to; every scope it lies in follows from it.

    Args:
        run: id of the Dagster run; of the *root* run where one resumes another.
        actor: person or service that asked.
    """

    tenant: str
    project: str
    pull_request: int | None = None
    run: str | None = None
    step: str | None = None
    actor: str = "maestro"

    def scopes(self, at: datetime | None = None) -> tuple[Scope, ...]:
        """The scopes an amount at this time (default: now) counts in, the outermost first."""
        month = (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m")
        project = f"{self.tenant}/{self.project}"
        found = [
            Scope("tenant", self.tenant),
            Scope("tenant", self.tenant, month),
            Scope("project", project),
            Scope("project", project, month),
        ]
        if self.pull_request is not None:
            found.append(Scope("pull_request", f"{project}#{self.pull_request}"))
        if self.run is not None:
            found.append(Scope("run", self.run))
            if self.step is not None:
                found.append(Scope("step", f"{self.run}/{self.step}"))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount that is set aside.

    Args:
        id: chosen by whoever reserves, so that asking twice reserves once.
        amounts: unit -> the most it may come to.
        crossed: thresholds this reservation took scopes over, for events.
    """

    id: str
    scopes: tuple[Scope, ...]
    amounts: Mapping[Unit, int]
    expires: datetime
    crossed: tuple[Crossing, ...] = ()


@dataclass(frozen=True, slots=True)
class Crossing:
    """A budget passed a threshold: 80 (downshift), 95 (alert) or 100 (stop) per cent.

    Args:
        overdraft: id of the reservation that cost more than was reserved: then ``limit`` is what was reserved, ``used``
            what it cost, and ``scope`` the innermost one. Where ``used`` is not more, the provider claimed what cannot
            be true, and what was reserved is charged. Empty: a threshold.
    """

    scope: Scope
    unit: Unit
    level: Literal[80, 95, 100]
    limit: int
    used: int
    at: datetime
    overdraft: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """A scope's budget in one unit.

    Args:
        limit: None: not limited.
        reserved: set aside and not settled yet.
        source: who set the limit: ``default``, ``workflow``, or the person.
    """

    scope: Scope
    unit: Unit
    limit: int | None
    spent: int
    reserved: int
    source: str = "default"

    @property
    def used(self) -> int:
        """Spent and reserved."""
        return self.spent + self.reserved

    @property
    def left(self) -> int | None:
        """What may still be reserved; None: not limited."""
        return None if self.limit is None else max(0, self.limit - self.used)

    @property
    def fraction(self) -> float:
        """Used of the limit; 0 without one, 1 when the limit is 0."""
        if self.limit is None:
            return 0.0
        return self.used / self.limit if self.limit else 1.0


@dataclass(frozen=True, slots=True)
class Charge:
    """What an amount was spent on; a row of the ledger.

    Args:
        kind: ``settled``; ``assumed``: the caller died after it had asked, so the worst case counts; ``adjusted``: a
            person corrected it; ``quota``: not money.
        facts: small JSON values for exports: input and output tokens, seconds.
        month: whose monthly budgets it counts in; that of the reservation, so not always that of ``at``.
        number: of the row; 0 before it is one.
    """

    reservation: str
    at: datetime
    attribution: Attribution
    unit: Unit
    amount: int
    kind: Literal["settled", "assumed", "adjusted", "quota"] = "settled"
    model: str = ""
    provider: str = ""
    decision: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    month: str = ""
    number: int = 0


class BudgetExceededError(MaestroError):
    """A budget does not hold what was asked; nothing was reserved.

    Attributes:
        decision: id of what was decided before, where a model was to be asked; empty: nothing was.
    """

    def __init__(self, balance: Balance, asked: int) -> None:
        self.balance = balance
        self.asked = asked
        self.decision = ""
        verb = "is" if balance.spent == 1 and balance.unit in (Unit.RUNS, Unit.TOKENS) else "are"
        super().__init__(
            f"the budget of {balance.scope} is {shown(balance.unit, balance.limit or 0)}: "
            f"{shown(balance.unit, balance.spent)} {verb} spent and {shown(balance.unit, balance.reserved)} reserved, "
            f"and this needs up to {shown(balance.unit, asked)}",
            next_step=who_can_raise(balance),
        )


def who_can_raise(balance: Balance) -> str:
    """What to do about a budget that is used up, and who can."""
    if balance.source == "workflow":
        # The lower limit counts, so no other one helps.
        return f"raise `budget.{'month' if balance.scope.month else balance.scope.kind}` in maestro.yaml"
    later = ", or wait for the next month" if balance.scope.month else ""
    return f"ask whoever may run `maestro budget set {balance.scope} {balance.unit}=… --reason …`{later}"


def nanodollars(usd: Decimal | float | str, *, up: bool = True) -> int:
    """United States dollars as nanodollars; rounded up (for the worst case) unless told otherwise."""
    exact = Decimal(str(usd)) * NANO
    return int(exact.to_integral_value(ROUND_CEILING if up else ROUND_HALF_EVEN))


def dollars(nano: int) -> Decimal:
    """Nanodollars as United States dollars, exactly."""
    return Decimal(nano) / NANO


def money(usd: Decimal | float) -> str:
    """Dollars for people, the one way everywhere: ``$10.00``, ``$0.0016``, ``$0.000636``.

    Two decimals, up to four where it has more, and below a cent so many that three digits count; no zeros at the end.
    """
    value = Decimal(str(usd))
    places = max(_MONEY_PLACES, _MONEY_DIGITS - 1 - value.adjusted()) if value else 2
    whole, _, part = f"{value:,.{places}f}".partition(".")
    return f"${whole}.{part.rstrip('0'):0<2}"


def shown(unit: Unit, amount: int) -> str:
    """An amount for people: ``$0.0123``, ``12,000 tokens``, ``3.5 minutes``, ``1.25 GB``."""
    if unit is Unit.USD:
        return money(dollars(amount))
    if unit is Unit.MINUTES:
        return f"{amount / 60:,.1f} minutes"
    if unit is Unit.GIGABYTES:
        return f"{amount / 1e9:,.2f} GB"
    return f"{amount:,} {unit.value.removesuffix('s') if amount == 1 else unit.value}"
