"""Puts deliveries into the inbox, within a transaction of the caller's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

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
_KEPT = [DELIVERIES.c[name] for name in (*_KEY, "id")]
_KEEP: dict[str, sa.Insert] = {
    "sqlite": sqlite.insert(DELIVERIES).on_conflict_do_nothing(index_elements=_KEY).returning(*_KEPT),
    "postgresql": postgresql.insert(DELIVERIES).on_conflict_do_nothing(index_elements=_KEY).returning(*_KEPT),
}
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
    kept = connection.execute(_KEEP[connection.dialect.name], rows)
    new = {(provider, project, delivery): number for provider, project, delivery, number in kept}
    known: dict[tuple[str, str, str], tuple[int, str]] = {}
    stored: list[Stored] = []
    for row in rows:
        key = (row["provider"], row["project"], row["delivery"])
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


def probe(connection: sa.Connection, at: datetime) -> None:
    """Writes as a delivery does, without being one: fails when the database is full or read-only."""
    if not connection.execute(PROBE.update().values(at=moment(at))).rowcount:
        connection.execute(PROBE.insert().values(one=1, at=moment(at)))


def _row(one: NewDelivery, received: datetime) -> dict[str, Any]:
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
