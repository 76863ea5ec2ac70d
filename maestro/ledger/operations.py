"""What can be done to the ledger, as data: one caller's wish each, to be carried out together with those of others."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maestro.errors import InputError
from maestro.ledger.holders import this_holder
from maestro.ledger.model import Attribution, Scope, Unit
from maestro.ledger.names import checked_amount, checked_attribution, checked_scope, checked_text

LEASE = 300.0
"""Seconds a reservation holds where its caller has no time limit of its own."""
_LONGEST_LEASE = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Companion:
    """What somebody else keeps beside the ledger, in the same database and the same transaction.

    Args:
        statement: SQL both databases understand, with ``?`` for each value and no other question mark or percent sign.
    """

    statement: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Reserve:
    """Set the worst case aside in every scope, or nothing at all.

    Args:
        holder: names the process it is for.
    """

    id: str
    attribution: Attribution
    amounts: Mapping[Unit, int]
    lease: float = LEASE
    limits: Mapping[Scope, Mapping[Unit, int]] = field(default_factory=dict)
    also: Sequence[Companion] = ()
    sent: bool = False
    model: str = ""
    provider: str = ""
    decision: str = ""
    holder: str = field(default_factory=this_holder)

    def checked(self) -> Reserve:
        """The operation itself.

        Raises:
            InputError: a name, an amount, a limit or the lease cannot be one.
        """
        checked_text("reservation", self.id)
        checked_attribution(self.attribution)
        _checked_amounts(self.amounts)
        _checked_limits(self.limits)
        checked_lease(self.lease)
        return self


@dataclass(frozen=True, slots=True)
class Send:
    """The call is about to leave: whatever happens to the caller from here on, it may cost."""

    id: str
    holder: str = field(default_factory=this_holder)


@dataclass(frozen=True, slots=True)
class Settle:
    """The truth about what was reserved.

    Args:
        doubtful: more was claimed than can be true, so that the caller says what was reserved; told as an overdraft.
    """

    id: str
    actual: Mapping[Unit, int]
    model: str = ""
    provider: str = ""
    decision: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    also: Sequence[Companion] = ()
    doubtful: bool = False

    def checked(self) -> Settle:
        """The operation itself.

        Raises:
            InputError: an amount cannot be one.
        """
        _checked_amounts(self.actual)
        return self


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing was spent."""

    id: str
    reason: str = ""
    also: Sequence[Companion] = ()


@dataclass(frozen=True, slots=True)
class Lapse:
    """Whoever reserved is gone.

    Args:
        holder: of the reservation, known to be dead; empty: the lease has run out, if it still has.
        now: seconds since 1970; None: the database's clock.
    """

    id: str
    holder: str = ""
    now: float | None = None


@dataclass(frozen=True, slots=True)
class Adjust:
    """A person says what a call came to that was assumed or settled."""

    id: str
    unit: Unit
    amount: int
    reason: str
    actor: str

    def checked(self) -> Adjust:
        """The operation itself.

        Raises:
            InputError: there is no reason or nobody who gives it, or the amount cannot be one.
        """
        checked_text("reason", self.reason)
        checked_text("actor", self.actor)
        checked_amount(self.unit, self.amount)
        return self


@dataclass(frozen=True, slots=True)
class SetLimit:
    """A scope, or a pattern of scopes, has a limit from now on.

    Args:
        limit: None: not limited, whatever the default is.
        clear: forget what was set, so that the patterns and the default count again.
    """

    scope: Scope
    unit: Unit
    limit: int | None
    actor: str
    reason: str
    clear: bool = False

    def checked(self) -> SetLimit:
        """The operation itself.

        Raises:
            InputError: the scope, the limit, the actor or the reason cannot be one.
        """
        checked_scope(self.scope)
        checked_text("actor", self.actor)
        checked_text("reason", self.reason)
        if self.limit is not None:
            checked_amount(self.unit, self.limit)
        return self


@dataclass(frozen=True, slots=True)
class Spend:
    """An amount that is known at once, charged or refused.

    Args:
        refuse: False: it was used already, so it is charged even where a budget does not hold it.
    """

    attribution: Attribution
    amounts: Mapping[Unit, int]
    facts: Mapping[str, object] = field(default_factory=dict)
    limits: Mapping[Scope, Mapping[Unit, int]] = field(default_factory=dict)
    refuse: bool = True
    id: str = field(default_factory=lambda: f"spend_{uuid.uuid4().hex}")
    also: Sequence[Companion] = ()

    def checked(self) -> Spend:
        """The operation itself.

        Raises:
            InputError: a name, an amount or a limit cannot be one, or it is money.
        """
        checked_text("charge", self.id)
        checked_attribution(self.attribution)
        _checked_amounts(self.amounts)
        _checked_limits(self.limits)
        if Unit.USD in self.amounts:
            raise InputError("money is not charged at once", next_step="reserve the worst case, then settle the cost")
        return self


Operation = Reserve | Send | Settle | Release | Lapse | Adjust | SetLimit | Spend


def checked_lease(lease: float) -> float:
    """The lease itself, in seconds.

    Raises:
        InputError: it is not above 0, or longer than a month.
    """
    if not (math.isfinite(lease) and 0 < lease <= _LONGEST_LEASE):
        raise InputError(f"a lease of {lease} seconds is none", next_step="give more than 0 seconds, at most 30 days")
    return lease


def _checked_amounts(amounts: Mapping[Unit, int]) -> None:
    for unit, amount in amounts.items():
        if unit not in Unit.__members__.values():
            raise InputError(f"'{unit}' is no unit of budgets", next_step=f"use one of {', '.join(Unit)}")
        checked_amount(unit, amount)


def _checked_limits(limits: Mapping[Scope, Mapping[Unit, int]]) -> None:
    for amounts in limits.values():
        _checked_amounts(amounts)
