"""Removes reservations and crossings after their time. Charges stay for ever: they are the books.

A reservation that is over is only needed so that nobody settles or reserves under its id again. That long after, the
charges under its id say the same (``Rows.removed``). One that is ``assumed`` stays, as it may still be corrected; there
are only as many as callers that died. What does not come to its charges stays as well, for ``check`` to tell of.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from maestro.ledger.limits import Cell
from maestro.ledger.tables import CHARGES, CROSSINGS, OVER, REMOVED, RESERVATIONS
from maestro.server.removal import ROWS, always, page_by_page

KEPT_FOR = timedelta(days=90)
"""Three times the longest lease: whoever still had something to settle has had it for two months."""
_RANGE = 2**62  # Two of them still fit into a row's number together.
_NOTE = sa.text(
    f"INSERT INTO {REMOVED.name} (month, unit, amount, fingerprint) VALUES (:month, :unit, :amount, :fingerprint) "
    f"ON CONFLICT (month, unit) DO UPDATE SET amount = {REMOVED.name}.amount + excluded.amount, "
    f"fingerprint = ({REMOVED.name}.fingerprint + excluded.fingerprint) % {_RANGE}"
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many were removed, or would be."""

    reservations: int
    crossings: int


@dataclass(frozen=True, slots=True)
class Amount:
    """What removed reservations were charged, and the fingerprint of each, added up."""

    amount: int = 0
    fingerprint: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.amount + other.amount, (self.fingerprint + other.fingerprint) % _RANGE)


def fingerprint(reservation: str, unit: str, amount: int) -> int:
    """A number of 62 bits that is another one when id, unit or amount is another."""
    digest = hashlib.sha256(f"{reservation}\0{unit}\0{amount}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _RANGE


def prunable(connection: sa.Connection, before: float) -> Pruned:
    """How much there is to be removed."""
    reservations = sa.select(sa.func.count()).select_from(RESERVATIONS).where(OVER, RESERVATIONS.c.expires < before)
    crossings = sa.select(sa.func.count()).select_from(CROSSINGS).where(_past(before))
    return Pruned(connection.execute(reservations).scalar_one(), connection.execute(crossings).scalar_one())


def prune(engine: sa.Engine, before: float, go_on: Callable[[], bool] = always) -> Pruned:
    """Removes reservations that were over before then, and crossings that were told and cannot come again.

    Args:
        before: seconds since 1970.
        go_on: asked before each transaction; False leaves the rest for another time.
    """
    after: tuple[float, str] = (-1.0, "")
    reservations = crossings = 0

    def remove_reservations(connection: sa.Connection) -> bool:
        nonlocal after, reservations
        rows = connection.execute(_over(before, after)).all()
        charged = _charged(connection, [row.id for row in rows])
        sound = [row for row in rows if _some(json.loads(row.actual)) == _some(charged[row.id])]
        _note(connection, ((row.month, row.id, charged[row.id]) for row in sound))
        connection.execute(RESERVATIONS.delete().where(RESERVATIONS.c.id.in_([row.id for row in sound])))
        reservations += len(sound)
        if rows:
            after = (rows[-1].expires, rows[-1].id)
        return len(rows) == ROWS

    def remove_crossings(connection: sa.Connection) -> bool:
        nonlocal crossings
        page = sa.select(CROSSINGS.c.number).where(_past(before)).order_by(CROSSINGS.c.number).limit(ROWS)
        gone = connection.execute(CROSSINGS.delete().where(CROSSINGS.c.number.in_(page))).rowcount
        crossings += gone
        return gone == ROWS

    page_by_page(engine, remove_reservations, go_on)
    page_by_page(engine, remove_crossings, go_on)
    return Pruned(reservations, crossings)


def _over(before: float, after: tuple[float, str]) -> sa.Select[Any]:
    """The next ones; what another process removes just now is left to it."""
    columns = (RESERVATIONS.c.id, RESERVATIONS.c.expires, RESERVATIONS.c.month, RESERVATIONS.c.actual)
    place = sa.tuple_(RESERVATIONS.c.expires, RESERVATIONS.c.id)
    return (
        sa.select(*columns)
        .where(OVER, RESERVATIONS.c.expires < before, place > sa.tuple_(*map(sa.literal, after)))
        .order_by(RESERVATIONS.c.expires, RESERVATIONS.c.id)
        .limit(ROWS)
        .with_for_update(skip_locked=True)
    )


def _charged(connection: sa.Connection, ids: list[str]) -> Mapping[str, dict[str, int]]:
    total = sa.func.sum(CHARGES.c.amount)
    query = sa.select(CHARGES.c.reservation, CHARGES.c.unit, total).where(CHARGES.c.reservation.in_(ids))
    found: dict[str, dict[str, int]] = {id: {} for id in ids}
    for id, unit, amount in connection.execute(query.group_by(CHARGES.c.reservation, CHARGES.c.unit)):
        found[id][unit] = int(amount)
    return found


def _some(amounts: Mapping[str, int]) -> dict[str, int]:
    return {unit: amount for unit, amount in amounts.items() if amount}


def _note(connection: sa.Connection, removed: Iterable[tuple[str, str, Mapping[str, int]]]) -> None:
    """Adds what was charged for reservations that are removed in this transaction."""
    sums: dict[Cell, Amount] = defaultdict(Amount)
    for month, id, charged in removed:
        for unit, amount in charged.items():
            sums[month, unit] += Amount(amount, fingerprint(id, unit, amount))
    for (month, unit), one in sorted(sums.items(), key=lambda item: item[0]):
        values = {"month": month, "unit": unit, "amount": one.amount, "fingerprint": one.fingerprint}
        connection.execute(_NOTE, values)


def _past(before: float) -> sa.ColumnElement[bool]:
    """Of months, runs and steps: what passes a threshold later has another scope. An overdraft is of one reservation.

    A tenant, a project or a pull request may be over its threshold for years, and would be told of again.
    """
    scope = CROSSINGS.c.scope
    ended = [sa.and_(scope.like(f"{kind}:%"), ~scope.like(f"{kind}::%")) for kind in ("tenant", "project")]
    once = sa.or_(CROSSINGS.c.overdraft != "", scope.like("run:%"), scope.like("step:%"), *ended)
    return sa.and_(CROSSINGS.c.taken.is_not(None), CROSSINGS.c.at < before, once)
