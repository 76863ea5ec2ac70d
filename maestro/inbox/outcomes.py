"""What became of each delivery, and how far each reader of the inbox has come."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from maestro.inbox.tables import moment, read_moment
from maestro.server.database import make_tables, reading

State = Literal["started", "nothing", "waiting", "dead"]
_metadata = sa.MetaData()
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_outcomes = sa.Table(
    "maestro_outcomes",
    _metadata,
    sa.Column("inbox_id", _BIG, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("runs", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("next_at", sa.Text),
    sa.Index("maestro_outcomes_due", "state", "next_at"),
)
_cursors = sa.Table(
    "maestro_inbox_cursors",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", _BIG, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one delivery led to.

    Args:
        inbox_id: its position in the inbox.
        state: ``started`` runs, ``nothing`` to do, ``waiting`` to be tried again, or ``dead``: given up.
        reason: one sentence for people; of what is dead, why.
        runs: ids of the runs.
        attempts: how often it was tried.
        at: when this became so.
        next_at: when it is tried again; None unless it waits.
        project: the project's name; empty when there is none.
    """

    inbox_id: int
    state: State
    reason: str = ""
    runs: tuple[str, ...] = ()
    attempts: int = 1
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    next_at: datetime | None = None
    project: str = ""


class Outcomes:
    """The outcomes in the server's database.

    Raises:
        MaestroError: the tables cannot be made.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, _metadata)

    def record(self, outcome: Outcome) -> None:
        """Notes an outcome in place of an earlier one of the same delivery; the same again changes nothing."""
        values = {
            "inbox_id": outcome.inbox_id,
            "state": outcome.state,
            "project": outcome.project,
            "reason": outcome.reason,
            "runs": json.dumps(outcome.runs),
            "attempts": outcome.attempts,
            "at": moment(outcome.at),
            "next_at": None if outcome.next_at is None else moment(outcome.next_at),
        }
        insert = self._insert(_outcomes).values(values)
        with self._engine.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["inbox_id"], set_=values))

    def get(self, inbox_id: int) -> Outcome | None:
        """The outcome of a delivery, if there is one yet."""
        found = self._read(sa.select(_outcomes).where(_outcomes.c.inbox_id == inbox_id))
        return found[0] if found else None

    def recent(self, limit: int = 50, state: State | None = None, project: str | None = None) -> list[Outcome]:
        """The outcomes of the newest deliveries, newest first."""
        query = sa.select(_outcomes).order_by(_outcomes.c.inbox_id.desc()).limit(limit)
        if state is not None:
            query = query.where(_outcomes.c.state == state)
        if project is not None:
            query = query.where(_outcomes.c.project == project)
        return self._read(query)

    def unsettled(self, now: datetime, limit: int = 100) -> list[Outcome]:
        """What waits and is due, longest due first."""
        due = sa.or_(_outcomes.c.next_at.is_(None), _outcomes.c.next_at <= moment(now))
        query = sa.select(_outcomes).where(_outcomes.c.state == "waiting", due)
        return self._read(query.order_by(sa.func.coalesce(_outcomes.c.next_at, ""), _outcomes.c.inbox_id).limit(limit))

    def cursor(self, name: str) -> int:
        """The last position a reader has dealt with; 0 before the first."""
        with reading(self._engine).begin() as connection:
            query = sa.select(_cursors.c.position).where(_cursors.c.name == name)
            return connection.execute(query).scalar() or 0

    def set_cursor(self, name: str, position: int) -> None:
        """Moves a reader's cursor on; never back, so one that was overtaken does no harm."""
        insert = self._insert(_cursors).values(name=name, position=position)
        with self._engine.begin() as connection:
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["name"], set_={"position": position}, where=_cursors.c.position < position
                )
            )

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._engine.dialect.name == "sqlite" else postgresql.insert(table)

    def _read(self, query: sa.Select[tuple[object, ...]]) -> list[Outcome]:
        with reading(self._engine).begin() as connection:
            return [_outcome(row) for row in connection.execute(query).mappings()]


def _outcome(row: sa.RowMapping) -> Outcome:
    return Outcome(
        inbox_id=row["inbox_id"],
        state=row["state"],
        reason=row["reason"],
        runs=tuple(json.loads(row["runs"])),
        attempts=row["attempts"],
        at=read_moment(row["at"]),
        next_at=None if row["next_at"] is None else read_moment(row["next_at"]),
        project=row["project"],
    )
