"""Finds reservations whose callers are gone."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from maestro.ledger.holders import is_gone
from maestro.ledger.operations import Lapse
from maestro.ledger.rows import Rows
from maestro.ledger.tables import OPEN, RESERVATIONS


def lapsing(connection: sa.Connection, now: float | None = None) -> list[Lapse]:
    """What has lapsed: leases that ran out, and holders on this machine that have ended.

    Args:
        now: seconds since 1970; None: the database's clock.
    """
    with Rows(connection) as rows:
        at = rows.now() if now is None else now
    gone = cache(is_gone)
    found: list[Lapse] = []
    for row in connection.execute(
        sa.select(RESERVATIONS.c.id, RESERVATIONS.c.holder, RESERVATIONS.c.expires).where(OPEN)
    ):
        if row.expires <= at:
            found.append(Lapse(row.id, now=now))
        elif gone(row.holder):
            found.append(Lapse(row.id, row.holder))
    return found
