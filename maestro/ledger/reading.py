"""What the ledger says: balances, limits, charges, crossings, and what is set aside right now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from maestro.errors import InputError
from maestro.ledger.books import Amounts, Entry
from maestro.ledger.limits import Cell, effective
from maestro.ledger.model import Attribution, Balance, Charge, Crossing, Scope, Unit
from maestro.ledger.names import key_of, scope_of
from maestro.ledger.rows import Row, Rows, attribution_of, entry_of
from maestro.ledger.tables import CHARGES, CROSSINGS, LIMITS, OPEN, RESERVATIONS, SUMS

_PAGE = 1000
FILTERS = (
    *("tenant", "project", "pull_request", "run", "step", "actor", "month"),
    *("unit", "kind", "model", "provider", "decision", "reservation"),
)
"""What ``charges`` may be asked for."""


@dataclass(frozen=True, slots=True)
class LimitSet:
    """A limit a person set.

    Args:
        scope: or a pattern of scopes, such as ``tenant:acme@*``.
        limit: None: not limited, whatever the default is.
    """

    scope: Scope
    unit: Unit
    limit: int | None
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as it stands.

    Args:
        state: ``reserved``, ``sent`` (the call has left), ``settled``, ``released``, ``assumed`` (the worst case is
            charged, since the caller was lost after it had asked).
        actual: what is charged for it.
        holder: the process that reserved.
        reason: why it was released or assumed.
    """

    id: str
    state: str
    attribution: Attribution
    amounts: Amounts
    actual: Amounts
    at: datetime
    expires: datetime
    holder: str
    reason: str = ""
    model: str = ""
    decision: str = ""


def held(entry: Entry) -> Held:
    """A reservation's row for people."""
    return Held(
        entry.id,
        entry.state,
        entry.attribution,
        entry.amounts,
        entry.actual,
        _moment(entry.at),
        _moment(entry.expires),
        entry.holder,
        entry.reason,
        entry.model,
        entry.decision,
    )


def balances(
    connection: sa.Connection, scopes: Sequence[Scope], workflow: Mapping[str, Mapping[str, int]]
) -> list[Balance]:
    """The balances of scopes, in their order; of each the units that are limited or were ever used."""
    keys: list[Cell] = [(key_of(scope), "") for scope in scopes]
    with Rows(connection) as rows:
        sums = rows.read_sums(keys)
        limits = rows.limits(keys)
    found: list[Balance] = []
    for scope in scopes:
        for unit in Unit:
            spent, reserved = sums.get((key_of(scope), unit), (0, 0))
            limit = effective(scope, unit, limits, workflow)
            if limit.amount is not None or (key_of(scope), unit) in sums:
                found.append(Balance(scope, unit, limit.amount, spent, reserved, limit.source))
    return found


def scopes(connection: sa.Connection, prefix: str) -> list[Scope]:
    """Every scope something was ever counted in whose text begins with ``prefix``, sorted."""
    keys = connection.execute(sa.select(SUMS.c.scope).distinct()).scalars()
    return sorted(
        (scope for scope in map(scope_of, keys) if str(scope).startswith(prefix)), key=lambda scope: str(scope)
    )


def limits(connection: sa.Connection, prefix: str) -> list[LimitSet]:
    """The limits persons set for scopes and patterns whose text begins with ``prefix``, sorted."""
    found = [
        LimitSet(scope_of(row.scope), Unit(row.unit), row.amount, row.source, row.reason, _moment(row.at))
        for row in connection.execute(sa.select(LIMITS))
    ]
    return sorted(
        (one for one in found if str(one.scope).startswith(prefix)), key=lambda one: (str(one.scope), one.unit)
    )


def reservations(connection: sa.Connection, ids: Sequence[str] | None) -> list[Held]:
    """The reservations with these ids; None: those that are open. The oldest first."""
    wanted = OPEN if ids is None else RESERVATIONS.c.id.in_(ids)
    rows = connection.execute(sa.select(RESERVATIONS).where(wanted).order_by(RESERVATIONS.c.at, RESERVATIONS.c.id))
    return [held(entry_of(row)) for row in rows.mappings()]


def crossings(connection: sa.Connection, since: datetime | None) -> list[Crossing]:
    """What was crossed since then, the oldest first."""
    wanted = sa.select(CROSSINGS).order_by(CROSSINGS.c.number)
    if since is not None:
        wanted = wanted.where(CROSSINGS.c.at >= since.timestamp())
    return [crossing_of(row) for row in connection.execute(wanted).mappings()]


def take_crossings(connection: sa.Connection, now: float) -> list[Crossing]:
    """What was crossed and taken by nobody yet; whoever gets it tells people."""
    taken = CROSSINGS.update().where(CROSSINGS.c.taken.is_(None)).values(taken=now).returning(*CROSSINGS.columns)
    rows = sorted(connection.execute(taken).mappings(), key=lambda row: int(row["number"]))
    return [crossing_of(row) for row in rows]


def charges_query(
    since: datetime | None, until: datetime | None, filters: Mapping[str, object]
) -> sa.Select[tuple[Any, ...]]:
    """Selects charges.

    Raises:
        InputError: there is no such filter.
    """
    wanted = sa.select(CHARGES)
    for name, value in filters.items():
        if name not in FILTERS:
            raise InputError(f"charges cannot be asked for by '{name}'", next_step=f"use one of {', '.join(FILTERS)}")
        if value is not None:
            wanted = wanted.where(CHARGES.c[name] == (str(value) if name != "pull_request" else value))
    if since is not None:
        wanted = wanted.where(CHARGES.c.at >= since.timestamp())
    if until is not None:
        wanted = wanted.where(CHARGES.c.at < until.timestamp())
    return wanted


def charges(engine: sa.Engine, query: sa.Select[tuple[Any, ...]]) -> Iterator[Charge]:
    """The charges of ``query`` in the order they were written, a page at a time."""
    last = 0
    while True:
        with engine.begin() as connection:
            page = query.where(CHARGES.c.number > last).order_by(CHARGES.c.number).limit(_PAGE)
            rows = connection.execute(page).mappings().all()
        for row in rows:
            yield charge_of(row)
        if len(rows) < _PAGE:
            return
        last = rows[-1]["number"]


def charge_of(row: Row) -> Charge:
    """The charge in a row."""
    return Charge(
        reservation=row["reservation"],
        at=_moment(row["at"]),
        attribution=attribution_of(row),
        unit=Unit(row["unit"]),
        amount=row["amount"],
        kind=row["kind"],
        model=row["model"],
        provider=row["provider"],
        decision=row["decision"],
        facts=json.loads(row["facts"]),
        month=row["month"],
        number=row["number"],
    )


def crossing_of(row: Row) -> Crossing:
    """The crossing in a row."""
    return Crossing(
        scope_of(row["scope"]),
        Unit(row["unit"]),
        row["level"],
        row["amount"],
        row["used"],
        _moment(row["at"]),
        row["overdraft"],
    )


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
