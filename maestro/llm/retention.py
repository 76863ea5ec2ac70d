"""Removes decisions and findings after their time, and says of a decision asked for later that it was removed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from maestro.errors import InputError
from maestro.llm.decision_tables import AUDITED, BATCH_LOGS, BATCHES, CALLS, DECISIONS, FINDINGS, REMOVED
from maestro.server.database import database_now
from maestro.server.removal import ROWS, always, page_by_page

_ID = re.compile(r"dec_([0-9a-f]{12})[0-9a-f]{0,14}")
_DECISIONS = "decisions"
REMOVED_KIND = "llm.decisions_removed"
"""Of the entry of the audit log that is written before any is removed."""

_NOTE = sa.text(
    f"INSERT INTO {REMOVED.name} (what, before, days) VALUES (:what, :before, :days) ON CONFLICT (what) DO UPDATE "
    f"SET before = excluded.before, days = excluded.days WHERE excluded.before > {REMOVED.name}.before"
)


class RemovedDecisionError(InputError):
    """The decision is so old that it was removed."""

    def __init__(self, id: str, made: datetime, days: int) -> None:
        super().__init__(
            f"the decision '{id}' of {made:%Y-%m-%d} was removed: decisions are kept for {days} days",
            next_step="what it cost is still in `maestro budget export`",
        )
        self.id = id


def moment_of(id: str) -> datetime | None:
    """When the decision with this id, or beginning of one, was made, to the millisecond; None: it does not say."""
    found = _ID.fullmatch(id)
    try:
        return None if found is None else datetime.fromtimestamp(int(found[1], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def remove_decisions(engine: sa.Engine, before: datetime, *, days: int, go_on: Callable[[], bool] = always) -> int:
    """Removes decisions made before then, with what became of them; how many.

    Args:
        days: after how many they are removed, for whoever asks for one.
        go_on: asked before each transaction; False leaves the rest for another time.
    """
    old = sa.select(DECISIONS.c.id).where(DECISIONS.c.at < before.timestamp()).order_by(DECISIONS.c.at).limit(ROWS)
    removed = 0

    def remove(connection: sa.Connection) -> bool:
        nonlocal removed
        ids = connection.execute(old).scalars().all()
        if ids:
            connection.execute(_NOTE, {"what": _DECISIONS, "before": before.timestamp(), "days": days})
            connection.execute(CALLS.delete().where(CALLS.c.decision.in_(ids)))
            connection.execute(AUDITED.delete().where(AUDITED.c.decision.in_(ids)))
            connection.execute(DECISIONS.delete().where(DECISIONS.c.id.in_(ids)))
        removed += len(ids)
        if len(ids) == ROWS:
            return True
        over = sa.and_(BATCHES.c.last < before.timestamp(), BATCHES.c.entry.is_not(None))
        connection.execute(BATCH_LOGS.delete().where(BATCH_LOGS.c.batch.in_(sa.select(BATCHES.c.id).where(over))))
        connection.execute(BATCHES.delete().where(over))
        return False

    page_by_page(engine, remove, go_on)
    return removed


def remove_findings(engine: sa.Engine) -> int:
    """Removes what was found of deployments and means nothing any more, also of those that are gone; how many.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    with engine.begin() as connection:
        # One or two rows a deployment: no other writer waits for long.
        return connection.execute(FINDINGS.delete().where(FINDINGS.c.forgotten <= database_now(connection))).rowcount


def require_kept(connection: sa.Connection, id: str) -> None:
    """Makes sure that the decision ``id`` was not removed.

    Raises:
        RemovedDecisionError: it was made before the oldest that are kept.
    """
    made = moment_of(id)
    if made is None:
        return
    row = connection.execute(sa.select(REMOVED.c.before, REMOVED.c.days).where(REMOVED.c.what == _DECISIONS)).first()
    if row is not None and made + timedelta(milliseconds=1) <= datetime.fromtimestamp(row.before, UTC):
        raise RemovedDecisionError(id, made, row.days)
