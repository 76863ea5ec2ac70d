"""Puts deliveries into the inbox, within a transaction of the caller's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from maestro.inbox.model import NewDelivery, Stored
from maestro.inbox.tables import DELIVERIES, PROBE, moment

_LOCK = 0x6D61657374726F69  # PostgreSQL's advisory lock of whoever writes the inbox: "maestroi".
# One writer at a time, so that ids become visible in their order; and the commit is on disk, whatever the server's
# default is.
_TURN = sa.text(
    "SELECT pg_advisory_xact_lock(:lock), CASE WHEN current_setting('synchronous_commit') = 'off'"
    " THEN set_config('synchronous_commit', 'on', true) END"
).bindparams(lock=_LOCK)
_KEY = ("provider", "project", "delivery")
_COLUMNS = (*_KEY, "event", "received", "trace", "headers", "digest", "size", "body")
# The driver's own calls: a statement that SQLAlchemy expands for each batch costs three times the insertion itself.
_KEEP = f"INSERT INTO {DELIVERIES.name} ({', '.join(_COLUMNS)}) VALUES"
_SQLITE_ROW = f"({', '.join('?' * len(_COLUMNS))})"
_SQLITE_PRESENT = f"SELECT id FROM {DELIVERIES.name} WHERE " + " AND ".join(f"{name} = ?" for name in _KEY)
_POSTGRESQL = f"{_KEEP} %s ON CONFLICT DO NOTHING RETURNING {', '.join(_KEY)}, id"
_Key = tuple[str, str, str]
_PRESENT = sa.select(DELIVERIES.c.id, DELIVERIES.c.digest).where(
    *(DELIVERIES.c[name] == sa.bindparam(name) for name in _KEY)
)


def take_turn(connection: sa.Connection) -> None:
    """Waits until nobody else writes the inbox; to be called first in the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(_TURN)


def store(connection: sa.Connection, deliveries: Sequence[tuple[NewDelivery, datetime]]) -> list[Stored]:
    """Keeps what is not there yet, and says of each where it is. Storing the same again changes nothing.

    Args:
        deliveries: each with the time it was received.
    """
    take_turn(connection)
    rows = [_row(one, received) for one, received in deliveries]
    new = _keep(connection, rows)
    known: dict[_Key, tuple[int, str]] = {}
    stored: list[Stored] = []
    for row in rows:
        key = _key(row)
        if key in new and key not in known:
            known[key] = (new[key], row["digest"])
            stored.append(Stored(new[key], True))
            continue
        if key not in known:
            found = connection.execute(_PRESENT, dict(zip(_KEY, key, strict=True))).one()
            known[key] = (found.id, found.digest)
        number, digest = known[key]
        stored.append(Stored(number, False, digest == row["digest"]))
    return stored


def _keep(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> dict[_Key, int]:
    """Inserts what is not there, and gives its positions."""
    driver = connection.dialect.loaded_dbapi
    cursor = connection.connection.cursor()
    try:
        if connection.dialect.name == "postgresql":
            from psycopg2.extras import execute_values  # type: ignore[import-untyped]  # It has no types.

            values = [tuple(row.values()) for row in rows]
            kept = execute_values(cursor, _POSTGRESQL, values, page_size=len(values), fetch=True)
            return {(provider, project, delivery): number for provider, project, delivery, number in kept}
        return _keep_in_sqlite(cursor, rows)
    except driver.Error as error:
        raise sa.exc.OperationalError(None, None, error) from error
    finally:
        cursor.close()


def _keep_in_sqlite(cursor: Any, rows: Sequence[dict[str, Any]]) -> dict[_Key, int]:
    # One statement for all: each one gives the interpreter away, and the thread that answers keeps it for a while.
    (before,) = cursor.execute(f"SELECT max(id) FROM {DELIVERIES.name}").fetchone()
    values = [value for row in rows for value in row.values()]
    cursor.execute(f"{_KEEP} {', '.join([_SQLITE_ROW] * len(rows))} ON CONFLICT DO NOTHING", values)
    if cursor.rowcount == len(rows):
        # All are new, and nobody else writes, so they are one after the other.
        first = cursor.lastrowid - len(rows) + 1
        return {_key(row): first + place for place, row in enumerate(rows)}
    new = {}
    for row in rows:
        (number,) = cursor.execute(_SQLITE_PRESENT, _key(row)).fetchone()
        if number > (before or 0):
            new[_key(row)] = number
    return new


def _key(row: dict[str, Any]) -> _Key:
    return (row["provider"], row["project"], row["delivery"])


def probe(connection: sa.Connection, at: datetime) -> None:
    """Writes as a delivery does, without being one: fails when the database is full or read-only."""
    if not connection.execute(PROBE.update().values(at=moment(at))).rowcount:
        connection.execute(PROBE.insert().values(one=1, at=moment(at)))


def _row(one: NewDelivery, received: datetime) -> dict[str, Any]:
    # In the order of _COLUMNS.
    return {
        "provider": one.provider,
        "project": one.project,
        "delivery": one.delivery,
        "event": one.event,
        "received": moment(received),
        "trace": one.trace,
        "headers": json.dumps(dict(one.headers)),
        "digest": one.digest,
        "size": len(one.body),
        "body": one.body,
    }
