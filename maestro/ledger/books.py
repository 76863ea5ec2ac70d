"""The part of the ledger one transaction works on, in memory: read and locked before, written back after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from maestro.errors import InputError
from maestro.ledger.limits import Cell, Limit, effective, levels
from maestro.ledger.model import Attribution, Balance, BudgetExceededError, Charge, Crossing, Scope, Unit
from maestro.ledger.names import MOST, key_of, scope_of, scopes_in

State = Literal["reserved", "sent", "settled", "released", "assumed"]
Amounts = Mapping[Unit, int]
Moves = Mapping[tuple[Scope, Unit], tuple[int, int]]
"""(scope, unit) -> what is added to (spent, reserved)."""
CORRECTED = "corrected: "
"""What the reason of a settled reservation begins with since a person corrected it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of reservations.

    Args:
        limits: the workflow's, by key of the scope.
        actual: what is charged for it by now.
        reason: why it was released, assumed or corrected.
    """

    id: str
    state: State
    attribution: Attribution
    month: str
    amounts: Amounts
    limits: Mapping[str, Mapping[str, int]]
    actual: Amounts
    holder: str
    lease: float
    expires: float
    at: float
    model: str = ""
    provider: str = ""
    decision: str = ""
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its amounts are set aside."""
        return self.state in ("reserved", "sent")

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Where it counts, the outermost first."""
        return scopes_in(self.attribution, self.month)


@dataclass(frozen=True, slots=True)
class Change:
    """What an operation changes; nothing of it is true before ``Books.accept``.

    Args:
        finish: makes the result of the thresholds that were crossed for the first time.
        overdraft: what cost more than was reserved.
        set_limit: a limit's new row (None: no row), where the operation sets one.
    """

    finish: Callable[[tuple[Crossing, ...]], object]
    moves: Moves = field(default_factory=dict)
    entry: Entry | None = None
    charges: tuple[Charge, ...] = ()
    overdraft: tuple[Crossing, ...] = ()
    set_limit: tuple[Cell, Limit | None, str] | None = None


@dataclass(slots=True)
class Books:
    """Sums, limits and reservations that were read, and what became of them.

    Args:
        now: seconds since 1970 by the database's clock.
        locked: the sums that may be changed; those of them that are not in ``sums`` are 0.
    """

    now: float
    entries: dict[str, Entry] = field(default_factory=dict)
    sums: dict[Cell, tuple[int, int]] = field(default_factory=dict)
    locked: set[Cell] = field(default_factory=set)
    limits: dict[Cell, Limit] = field(default_factory=dict)
    moved: set[Cell] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    charges: list[Charge] = field(default_factory=list)
    set_limits: dict[Cell, tuple[Limit | None, str]] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        """Now."""
        return datetime.fromtimestamp(self.now, UTC)

    def balance(self, scope: Scope, unit: Unit, workflow: Mapping[str, Mapping[str, int]]) -> Balance:
        """The balance of a scope as it is by now."""
        spent, reserved = self.sums.get((key_of(scope), unit), (0, 0))
        limit = effective(scope, unit, self.limits, workflow)
        return Balance(scope, unit, limit.amount, spent, reserved, limit.source)

    def require(self, scopes: tuple[Scope, ...], amounts: Amounts, workflow: Mapping[str, Mapping[str, int]]) -> None:
        """Makes sure that every budget holds the amounts; what costs nothing is never refused.

        Raises:
            BudgetExceededError: one does not; of several the one with the least left.
        """
        short: list[tuple[int, Balance, int]] = []
        for unit, amount in amounts.items():
            if not amount:
                continue
            for scope in scopes:
                limit = effective(scope, unit, self.limits, workflow)
                if limit.amount is None:
                    continue
                spent, reserved = self.sums.get((key_of(scope), unit), (0, 0))
                left = limit.amount - spent - reserved
                if amount > left:
                    short.append((left, Balance(scope, unit, limit.amount, spent, reserved, limit.source), amount))
        if short:
            _, balance, amount = min(short, key=lambda one: one[0])
            raise BudgetExceededError(balance, amount)

    def require_room(self, change: Change) -> None:
        """Makes sure that rows can hold what the change comes to.

        Raises:
            InputError: a sum would be larger than ``MOST``.
        """
        for (scope, unit), (spent, reserved) in change.moves.items():
            now = self.sums.get((key_of(scope), unit), (0, 0))
            if now[0] + now[1] + spent + reserved > MOST:
                raise InputError(
                    f"the ledger cannot count so much of {unit.value} for {scope}", next_step="give a smaller amount"
                )

    def accept(self, change: Change) -> tuple[Crossing, ...]:
        """Makes the change true; gives the thresholds its scopes are over and were brought to by it."""
        workflow = change.entry.limits if change.entry is not None else {}
        crossed: list[Crossing] = []
        for (scope, unit), (spent, reserved) in change.moves.items():
            cell = (key_of(scope), str(unit))
            if cell not in self.locked:
                # What was not read would be overwritten: rather stop everything than count wrongly.
                raise RuntimeError(f"the ledger did not lock {cell}")
            before = self.sums.get(cell, (0, 0))
            after = (before[0] + spent, before[1] + reserved)
            self.sums[cell] = after
            self.moved.add(cell)
            if spent + reserved > 0:
                crossed += self.over(scope, unit, workflow)
        if change.entry is not None:
            self.entries[change.entry.id] = change.entry
            self.changed.add(change.entry.id)
        self.charges += change.charges
        if change.set_limit is not None:
            cell, limit, reason = change.set_limit
            self.set_limits[cell] = (limit, reason)
            if limit is None:
                self.limits.pop(cell, None)
            else:
                self.limits[cell] = limit
            scope, unit = scope_of(cell[0]), Unit(cell[1])
            if cell in self.locked:
                crossed += self.over(scope, unit, {})
        return (*crossed, *change.overdraft)

    def over(self, scope: Scope, unit: Unit, workflow: Mapping[str, Mapping[str, int]]) -> list[Crossing]:
        """The thresholds a scope is over."""
        limit = effective(scope, unit, self.limits, workflow).amount
        if limit is None:
            return []
        used = sum(self.sums.get((key_of(scope), str(unit)), (0, 0)))
        return [Crossing(scope, unit, level, limit, used, self.moment) for level in levels(used, limit)]  # type: ignore[arg-type]  # LEVELS are its literals.
