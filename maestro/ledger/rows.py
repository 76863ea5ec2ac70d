"""Reads the books out of the database, locked, and writes them back, within a transaction of the caller's.

Locks are taken in one order by everybody (reservations by id, then sums by scope and unit), so that no two writers wait
for each other. SQLite has one writer at a time anyway. These are the driver's own calls: SQLAlchemy's statements cost
several times what the database itself needs for them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from maestro.ledger.books import CORRECTED, Books, Entry, State
from maestro.ledger.errors import CompanionError, may_pass
from maestro.ledger.limits import Cell, Limit
from maestro.ledger.model import Attribution, Charge, Crossing, Unit
from maestro.ledger.names import key_of, pattern_keys
from maestro.ledger.operations import Companion
from maestro.ledger.tables import CHARGES, CROSSINGS, LIMITS, RESERVATIONS, SUMS

_WHOM = ("tenant", "project", "pull_request", "run", "step", "actor")
_ENTRY = tuple(column.name for column in RESERVATIONS.columns)
_CHARGE = tuple(column.name for column in CHARGES.columns if column.name != "number")
_CROSSING = ("scope", "unit", "level", "amount", "overdraft", "used", "at")
_CHANGING = ("state", "actual", "holder", "lease", "expires", "model", "provider", "decision", "reason")
Row = Mapping[str, Any] | sa.RowMapping
_PAGE = 500
"""Values of one statement; SQLite's limit is far above."""


def _kept(names: Sequence[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names)


_KEEP_ENTRIES = (
    f"INSERT INTO {RESERVATIONS.name} ({', '.join(_ENTRY)}) VALUES {{}} "
    f"ON CONFLICT (id) DO UPDATE SET {_kept(_CHANGING)}"
)
_KEEP_SUMS = (
    f"INSERT INTO {SUMS.name} (scope, unit, spent, reserved) VALUES {{}} "
    f"ON CONFLICT (scope, unit) DO UPDATE SET {_kept(('spent', 'reserved'))}"
)
# A row whose condition is not met is locked all the same, and one that is not there is made.
_LOCK_SUMS = (
    f"INSERT INTO {SUMS.name} (scope, unit, spent, reserved) VALUES {{}} "
    f"ON CONFLICT (scope, unit) DO UPDATE SET spent = excluded.spent WHERE false"
)
_KEEP_CHARGES = f"INSERT INTO {CHARGES.name} ({', '.join(_CHARGE)}) VALUES {{}}"
_KEEP_LIMITS = (
    f"INSERT INTO {LIMITS.name} (scope, unit, amount, source, reason, at) VALUES {{}} "
    f"ON CONFLICT (scope, unit) DO UPDATE SET {_kept(('amount', 'source', 'reason', 'at'))}"
)
_KEEP_CROSSINGS = (
    f"INSERT INTO {CROSSINGS.name} ({', '.join(_CROSSING)}) VALUES {{}} "
    "ON CONFLICT (scope, unit, level, amount, overdraft) DO NOTHING RETURNING scope, unit, level, amount, overdraft"
)
CrossingKey = tuple[str, str, int, int, str]


class Rows:
    """The driver's cursor of a transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._cursor: Any = connection.connection.cursor()
        self._postgresql = connection.dialect.name == "postgresql"
        self._error: type[Exception] = connection.dialect.loaded_dbapi.Error
        # To PostgreSQL, what has no result goes together with the next statement: each way there and back counts.
        self._pending: list[bytes] = []

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._cursor.close()
        if isinstance(error, self._error):
            raise sa.exc.OperationalError(None, None, error) from error

    def now(self) -> float:
        """Seconds since 1970 by the database's clock; SQLite has this process's own."""
        if not self._postgresql:
            return time.time()
        self._cursor.execute("SELECT extract(epoch from clock_timestamp())::float8")
        return float(self._cursor.fetchone()[0])

    def entries(self, ids: Iterable[str]) -> dict[str, Entry]:
        """The reservations that are there, locked."""
        lock = " ORDER BY id FOR UPDATE" if self._postgresql else ""
        wanted = sorted(set(ids))
        found = self._select(f"SELECT {', '.join(_ENTRY)} FROM {RESERVATIONS.name} WHERE id IN ({{}}){lock}", wanted)
        return {row[0]: entry_of(dict(zip(_ENTRY, row, strict=True))) for row in found}

    def opening(self, fresh: Sequence[str]) -> tuple[float, set[str]]:
        """The time, as ``now``, and which of these ids something was charged under before.

        Both at once, since to PostgreSQL each way there and back counts.
        """
        if not fresh:
            return self.now(), set()
        if self._postgresql:
            self._cursor.execute(
                "SELECT extract(epoch from clock_timestamp())::float8, "
                f"ARRAY(SELECT DISTINCT reservation FROM {CHARGES.name} WHERE reservation = ANY(%s))",
                (list(fresh),),
            )
            now, charged = self._cursor.fetchone()
            return float(now), set(charged)
        found = self._select(f"SELECT DISTINCT reservation FROM {CHARGES.name} WHERE reservation IN ({{}})", fresh)
        return self.now(), {row[0] for row in found}

    def removed(self, ids: Iterable[str]) -> dict[str, Entry]:
        """Reservations whose rows were removed after their time, made again from what was charged for them.

        Only what was over is ever removed, so each of them is settled, whatever it was reserved at.
        """
        found = self._select(
            f"SELECT reservation, {', '.join(_WHOM)}, month, unit, sum(amount), max(at) FROM {CHARGES.name} "
            f"WHERE reservation IN ({{}}) GROUP BY reservation, {', '.join(_WHOM)}, month, unit",
            sorted(set(ids)),
        )
        corrected = self._corrected(sorted({row[0] for row in found}))
        entries: dict[str, Entry] = {}
        for id, *whom, month, unit, amount, at in found:
            before = entries[id].actual if id in entries else {}
            entries[id] = Entry(
                id=id,
                state="settled",
                attribution=Attribution(*whom),
                month=month,
                amounts={},
                limits={},
                actual={**before, Unit(unit): int(amount)},
                holder="",
                lease=0.0,
                expires=at,
                at=at,
                reason=CORRECTED if id in corrected else "",
            )
        return entries

    def _corrected(self, ids: Sequence[str]) -> set[str]:
        """Those of which a person has said last what they came to."""
        found = self._select(
            f"SELECT reservation, kind, facts FROM {CHARGES.name} WHERE number IN "
            f"(SELECT max(number) FROM {CHARGES.name} WHERE reservation IN ({{}}) GROUP BY reservation)",
            ids,
        )
        return {id for id, kind, facts in found if kind == "adjusted" and "by" in json.loads(facts)}

    def sums(self, cells: Iterable[Cell]) -> dict[Cell, tuple[int, int]]:
        """The sums that are there, locked; with PostgreSQL all of ``cells`` are there afterwards."""
        wanted = sorted(cells)
        if self._postgresql:
            # Each statement sees what was committed before itself began, so the sums are read as they were locked.
            self._insert(_LOCK_SUMS, [(*cell, 0, 0) for cell in wanted])
        return self.read_sums(wanted)

    def read_sums(self, cells: Iterable[Cell]) -> dict[Cell, tuple[int, int]]:
        """The sums of the scopes of ``cells`` that are there, in every unit, not locked."""
        keys = sorted({key for key, _unit in cells})
        found = self._select(f"SELECT scope, unit, spent, reserved FROM {SUMS.name} WHERE scope IN ({{}})", keys)
        return {(scope, unit): (spent, reserved) for scope, unit, spent, reserved in found}

    def limits(self, cells: Iterable[Cell]) -> dict[Cell, Limit]:
        """What persons set for the scopes of ``cells`` and for the patterns they fall under."""
        keys = {pattern for key in {key for key, _unit in cells} for pattern in pattern_keys(key)}
        found = self._select(
            f"SELECT scope, unit, amount, source FROM {LIMITS.name} WHERE scope IN ({{}})", sorted(keys)
        )
        return {(scope, unit): Limit(amount, source) for scope, unit, amount, source in found}

    def keep(self, books: Books) -> None:
        """Writes what changed."""
        self._insert(_KEEP_SUMS, [(*cell, *books.sums[cell]) for cell in sorted(books.moved)])
        self._insert(_KEEP_ENTRIES, [entry_values(books.entries[id]) for id in sorted(books.changed)])
        self._insert(_KEEP_CHARGES, [charge_values(charge) for charge in books.charges])
        for cell, (limit, reason) in books.set_limits.items():
            if limit is None:
                self._execute(f"DELETE FROM {LIMITS.name} WHERE scope = ? AND unit = ?", cell)
            else:
                self._insert(_KEEP_LIMITS, [(*cell, limit.amount, limit.source, reason, books.now)])
        self._send()

    def write(self, companions: Sequence[Companion], *, alone: bool = True) -> None:
        """Writes what others keep beside the ledger.

        Args:
            alone: nothing else is in the transaction; otherwise it is as it was before when one cannot be written.

        Raises:
            CompanionError: the database does not take it.
            SQLAlchemyError: another try may help; the transaction must be rolled back.
        """
        if not companions:
            return
        self._send()
        statements = [(one.statement, one.values) for one in companions]
        if not alone:
            statements = [("SAVEPOINT companions", ()), *statements, ("RELEASE SAVEPOINT companions", ())]
        try:
            for statement, values in statements:
                self._queue(statement, values)
            self._send()
        except self._error as error:
            failed = sa.exc.DBAPIError(None, None, error)
            if may_pass(failed):
                raise failed from error
            if not alone:
                self._pending = []
                self._execute("ROLLBACK TO SAVEPOINT companions", ())
                self._execute("RELEASE SAVEPOINT companions", ())
            raise CompanionError(failed) from failed

    def keep_crossings(self, crossings: Sequence[Crossing]) -> set[CrossingKey]:
        """Writes crossings; gives those that were not there before."""
        values = [(*crossing_key(one), one.used, one.at.timestamp()) for one in crossings]
        return {tuple(row) for row in self._insert(_KEEP_CROSSINGS, values, returning=True)}

    def _select(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(values), _PAGE):
            page = values[start : start + _PAGE]
            self._execute(statement.format(", ".join("?" * len(page))), page)
            found += self._cursor.fetchall()
        return found

    def _insert(
        self, statement: str, rows: Sequence[tuple[object, ...]], *, returning: bool = False
    ) -> list[tuple[Any, ...]]:
        if not rows:
            return []
        one = statement.format(f"({', '.join('?' * len(rows[0]))})")
        if self._postgresql:
            places = ", ".join([f"({', '.join(['%s'] * len(rows[0]))})"] * len(rows))
            self._pending.append(
                self._cursor.mogrify(statement.format(places), [value for row in rows for value in row])
            )
            if not returning:
                return []
            self._send()
            return list(self._cursor.fetchall())
        if not returning:
            self._cursor.executemany(one, rows)
            return []
        found: list[tuple[Any, ...]] = []
        for row in rows:
            found += self._cursor.execute(one, row).fetchall()
        return found

    def _execute(self, statement: str, values: Sequence[object]) -> None:
        self._queue(statement, values)
        self._send()

    def _queue(self, statement: str, values: Sequence[object]) -> None:
        if self._postgresql:
            self._pending.append(self._cursor.mogrify(statement.replace("?", "%s"), values))
        else:
            self._cursor.execute(statement, values)

    def _send(self) -> None:
        if self._pending:
            statements, self._pending = self._pending, []
            self._cursor.execute(b";".join(statements))


def crossing_key(crossing: Crossing) -> CrossingKey:
    """What makes a crossing one that is told once."""
    return (key_of(crossing.scope), str(crossing.unit), crossing.level, crossing.limit, crossing.overdraft)


def entry_values(entry: Entry) -> tuple[object, ...]:
    """A reservation as a row of values, in the order of the table's columns."""
    whom = entry.attribution
    return (
        entry.id,
        entry.state,
        *(whom.tenant, whom.project, whom.pull_request, whom.run, whom.step, whom.actor),
        entry.month,
        *(_json(entry.amounts), _json(entry.limits), _json(entry.actual)),
        *(entry.holder, entry.lease, entry.expires, entry.at),
        *map(_storable, (entry.model, entry.provider, entry.decision, entry.reason)),
    )


def entry_of(row: Row) -> Entry:
    """The reservation in a row."""
    return Entry(
        id=row["id"],
        state=cast(State, row["state"]),
        attribution=attribution_of(row),
        month=row["month"],
        amounts=_amounts(row["amounts"]),
        limits=json.loads(row["limits"]),
        actual=_amounts(row["actual"]),
        **{name: row[name] for name in ("holder", "lease", "expires", "at", "model", "provider", "decision", "reason")},
    )


def charge_values(charge: Charge) -> tuple[object, ...]:
    """A charge as a row of values, in the order of the table's columns."""
    whom = charge.attribution
    return (
        charge.reservation,
        charge.at.timestamp(),
        *(whom.tenant, whom.project, whom.pull_request, whom.run, whom.step, whom.actor),
        charge.month,
        *(str(charge.unit), charge.amount, charge.kind),
        *map(_storable, (charge.model, charge.provider, charge.decision)),
        _json(charge.facts),
    )


def attribution_of(row: Row) -> Attribution:
    """Whom a row is charged to."""
    return Attribution(**{name: row[name] for name in _WHOM})


def _amounts(text: str) -> dict[Unit, int]:
    return {Unit(unit): amount for unit, amount in json.loads(text).items()}


def _storable(text: str) -> str:
    """What providers and exceptions say may be anything; databases take neither lone surrogates nor, some, NUL."""
    return text if text.isprintable() else text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


_ENCODE: Callable[[object], str] = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=str).encode


def _json(value: object) -> str:
    return _ENCODE(value) if value else "{}"
