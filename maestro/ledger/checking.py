"""Adds everything up again, from the charges and the reservations themselves, and says where the sums differ.

Charges of reservations that were removed after their time have to come to what was noted when that was done, together
and each: their fingerprint is of every reservation and its amount.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import sqlalchemy as sa

from maestro.ledger.limits import Cell
from maestro.ledger.model import Unit
from maestro.ledger.names import key_of, scope_of, scopes_in
from maestro.ledger.pruning import Amount, fingerprint
from maestro.ledger.rows import attribution_of, entry_of
from maestro.ledger.tables import CHARGES, OPEN, REMOVED, RESERVATIONS, SUMS

_WHOM = tuple(CHARGES.c[name] for name in ("tenant", "project", "pull_request", "run", "step", "actor", "month"))


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that does not add up.

    Args:
        what: a scope as text, the id of a reservation, or the month of removed ones.
        column: ``spent``, ``reserved``, ``charged``, or ``fingerprint``, of what was removed.
        recorded: what the ledger says; counted: what it comes to.
    """

    what: str
    unit: Unit
    column: str
    recorded: int
    counted: int

    def __str__(self) -> str:
        return f"{self.what}: {self.column} {self.unit.value} is {self.recorded}, and adds up to {self.counted}"


def discrepancies(connection: sa.Connection) -> list[Discrepancy]:
    """Where sums, reservations and charges differ; the connection's transaction must see one state of them all."""
    spent: dict[Cell, int] = defaultdict(int)
    reserved: dict[Cell, int] = defaultdict(int)
    total = sa.func.sum(CHARGES.c.amount).label("total")
    for row in connection.execute(sa.select(*_WHOM, CHARGES.c.unit, total).group_by(*_WHOM, CHARGES.c.unit)).mappings():
        for scope in scopes_in(attribution_of(row), row["month"]):
            spent[key_of(scope), row["unit"]] += int(row["total"])
    for row in connection.execute(sa.select(RESERVATIONS).where(OPEN)).mappings():
        entry = entry_of(row)
        for scope in entry.scopes:
            for unit, amount in entry.amounts.items():
                reserved[key_of(scope), unit] += amount
    found: list[Discrepancy] = []
    recorded = {(row.scope, row.unit): row for row in connection.execute(sa.select(SUMS))}
    for cell in sorted({*recorded, *spent, *reserved}):
        kept = recorded.get(cell)
        key, unit = cell
        for column, counted in (("spent", spent[cell]), ("reserved", reserved[cell])):
            says = 0 if kept is None else getattr(kept, column)
            if says != counted:
                found.append(Discrepancy(str(scope_of(key)), Unit(unit), column, says, counted))
    return found + _of_reservations(connection) + _of_removed(connection)


def _of_reservations(connection: sa.Connection) -> list[Discrepancy]:
    """Reservations whose charges do not come to what their row says."""
    charged: dict[Cell, int] = defaultdict(int)
    total = sa.func.sum(CHARGES.c.amount).label("total")
    per = (
        sa.select(CHARGES.c.reservation, CHARGES.c.unit, total)
        .join(RESERVATIONS, RESERVATIONS.c.id == CHARGES.c.reservation)
        .group_by(CHARGES.c.reservation, CHARGES.c.unit)
    )
    for id, unit, amount in connection.execute(per):
        charged[id, unit] = int(amount)
    found: list[Discrepancy] = []
    for row in connection.execute(sa.select(RESERVATIONS).execution_options(yield_per=1000)).mappings():
        entry = entry_of(row)
        for unit in {*entry.actual, *entry.amounts}:
            says, counted = entry.actual.get(unit, 0), charged.pop((entry.id, unit), 0)
            if says != counted:
                found.append(Discrepancy(entry.id, unit, "charged", says, counted))
    found += [Discrepancy(id, Unit(unit), "charged", 0, counted) for (id, unit), counted in charged.items() if counted]
    return found


def _of_removed(connection: sa.Connection) -> list[Discrepancy]:
    """Months whose charges without a reservation are not those of the reservations that were removed."""
    counted: dict[Cell, Amount] = defaultdict(Amount)
    orphans = (
        sa.select(CHARGES.c.reservation, CHARGES.c.month, CHARGES.c.unit, sa.func.sum(CHARGES.c.amount))
        .outerjoin(RESERVATIONS, RESERVATIONS.c.id == CHARGES.c.reservation)
        .where(RESERVATIONS.c.id.is_(None))
        .group_by(CHARGES.c.reservation, CHARGES.c.month, CHARGES.c.unit)
        .execution_options(yield_per=1000)
    )
    for id, month, unit, amount in connection.execute(orphans):
        counted[month, unit] += Amount(int(amount), fingerprint(id, unit, int(amount)))
    noted = {(row.month, row.unit): row for row in connection.execute(sa.select(REMOVED))}
    found: list[Discrepancy] = []
    for month, unit in sorted({*counted, *noted}):
        row, now = noted.get((month, unit)), counted[month, unit]
        what = f"removed reservations of {month}"
        amount, print_ = (0, 0) if row is None else (row.amount, row.fingerprint)
        if amount != now.amount:
            found.append(Discrepancy(what, Unit(unit), "charged", amount, now.amount))
        elif print_ != now.fingerprint:
            found.append(Discrepancy(what, Unit(unit), "fingerprint", print_, now.fingerprint))
    return found
