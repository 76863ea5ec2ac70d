"""The outbox: keeps messages, hands them out in order, and remembers what became of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from maestro.outbox.message import Message, Outgoing, OutgoingState
from maestro.outbox.tables import messages, metadata, outgoing, remote
from maestro.server.database import make_tables, reading

CLAIM = timedelta(minutes=1)
"""How long a sender may have messages in hand before others take them to be abandoned."""
_LONGEST_REASON = 1_000


class Outbox:
    """The outbox in the server's database.

    Several programs may put at once. Two senders may run for a moment: each message is claimed by one of them.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, metadata)

    def put(self, message: Message, now: datetime | None = None) -> bool:
        """Takes a message; it is on disk when this returns.

        Returns:
            False when the project has a message of that key already, or the thread one of a higher rank.

        Raises:
            TypeError: the payload is no JSON.
        """
        at = (now or datetime.now(UTC)).timestamp()
        payload = json.dumps(message.payload, sort_keys=True, allow_nan=False)
        of_thread = sa.and_(messages.c.project == message.project, messages.c.thread == message.thread)
        of_key = sa.and_(messages.c.project == message.project, messages.c.key == message.key)
        later = sa.and_(of_thread, messages.c.rank > message.rank)
        with self._engine.begin() as connection:
            self._one_at_a_time(connection, message.project)
            if connection.execute(sa.select(messages.c.id).where(sa.or_(of_key, later)).limit(1)).first():
                return False
            if message.replaces:
                connection.execute(
                    messages.update()
                    .where(of_thread, messages.c.state == "waiting", messages.c.claimed_until <= at)
                    .values(state="replaced", settled=at)
                )
            connection.execute(
                messages.insert().values(
                    project=message.project,
                    thread=message.thread,
                    key=message.key,
                    kind=message.kind,
                    rank=message.rank,
                    replaces=message.replaces,
                    payload=payload,
                    state="waiting",
                    attempts=0,
                    created=at,
                    next_at=at,
                    reason="",
                    answer="{}",
                    claimed_until=0.0,
                )
            )
        return True

    def due(self, now: datetime, limit: int = 20) -> list[Outgoing]:
        """Claims what may be sent now: of each thread its first waiting message alone, oldest first.

        Each is to be given back with :meth:`sent`, :meth:`failed`, :meth:`dead` or :meth:`postponed` within ``CLAIM``.
        """
        at = now.timestamp()
        query = (
            sa.select(messages.c.id)
            .where(messages.c.state == "waiting", messages.c.next_at <= at, messages.c.claimed_until <= at, _first())
            .order_by(messages.c.id)
            .limit(limit)
            .with_for_update(of=messages, skip_locked=True)
        )
        with self._engine.begin() as connection:
            ids = list(connection.scalars(query))
            if not ids:
                return []
            connection.execute(
                messages.update()
                .where(messages.c.id.in_(ids))
                .values(
                    claim=uuid.uuid4().hex,
                    claimed_until=at + CLAIM.total_seconds(),
                    # Counted before it is sent: after a crash it may have arrived.
                    attempts=messages.c.attempts + 1,
                )
            )
            rows = connection.execute(sa.select(messages).where(messages.c.id.in_(ids)).order_by(messages.c.id))
            return [outgoing(row) for row in rows.mappings()]

    def sent(self, one: Outgoing, answer: Mapping[str, Any], now: datetime | None = None) -> None:
        """It has arrived."""
        at = (now or datetime.now(UTC)).timestamp()
        # Whoever has claimed it meanwhile: it need not be sent again.
        self._change(
            one, any_claim=True, state="sent", settled=at, reason="", answer=json.dumps(dict(answer), sort_keys=True)
        )

    def failed(self, one: Outgoing, reason: str, retry_at: datetime) -> None:
        """It has not arrived, or nobody knows; it is sent again at ``retry_at``."""
        self._change(one, reason=reason[:_LONGEST_REASON], next_at=retry_at.timestamp())

    def postponed(self, one: Outgoing, retry_at: datetime) -> None:
        """Nobody tried to send it."""
        self._change(one, next_at=retry_at.timestamp(), attempts=one.attempts - 1)

    def dead(self, one: Outgoing, reason: str, now: datetime | None = None) -> None:
        """It is given up; the thread goes on with the next."""
        at = (now or datetime.now(UTC)).timestamp()
        self._change(one, state="dead", settled=at, reason=reason[:_LONGEST_REASON])

    def listed(
        self, state: OutgoingState | None = None, project: str | None = None, limit: int = 100
    ) -> list[Outgoing]:
        """Messages, newest first."""
        query = sa.select(messages).order_by(messages.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(messages.c.state == state)
        if project is not None:
            query = query.where(messages.c.project == project)
        with reading(self._engine).begin() as connection:
            return [outgoing(row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[OutgoingState, int]:
        """Number of messages in each state that any is in."""
        query = sa.select(messages.c.state, sa.func.count()).group_by(messages.c.state)
        with reading(self._engine).begin() as connection:
            return dict(connection.execute(query).tuples().all())

    def next_at(self) -> datetime | None:
        """When there is something to send next; in the past when something is due; None when nothing waits."""
        when = sa.case(
            (messages.c.claimed_until > messages.c.next_at, messages.c.claimed_until), else_=messages.c.next_at
        )
        query = sa.select(sa.func.min(when)).where(messages.c.state == "waiting", _first())
        with reading(self._engine).begin() as connection:
            found = connection.scalar(query)
        return None if found is None else datetime.fromtimestamp(found, UTC)

    def remember(self, project: str, key: str, value: str, now: datetime | None = None) -> None:
        """Notes what the other side calls something of ours."""
        at = (now or datetime.now(UTC)).timestamp()
        named = sa.and_(remote.c.project == project, remote.c.key == key)
        with self._engine.begin() as connection:
            self._one_at_a_time(connection, project)
            if not connection.execute(remote.update().where(named).values(value=value, at=at)).rowcount:
                connection.execute(remote.insert().values(project=project, key=key, value=value, at=at))

    def recall(self, project: str, key: str) -> str | None:
        """What :meth:`remember` noted last, if anything."""
        query = sa.select(remote.c.value).where(remote.c.project == project, remote.c.key == key)
        with reading(self._engine).begin() as connection:
            return connection.scalar(query)

    def prune(self, before: datetime) -> int:
        """Deletes what was settled before that time; how many messages. Those that wait are never deleted."""
        at = before.timestamp()
        with self._engine.begin() as connection:
            gone = connection.execute(messages.delete().where(messages.c.state != "waiting", messages.c.settled < at))
            connection.execute(remote.delete().where(remote.c.at < at))
        return gone.rowcount

    def _change(self, one: Outgoing, *, any_claim: bool = False, **values: Any) -> None:
        query = messages.update().where(messages.c.id == one.id, messages.c.state == "waiting")
        if not any_claim:
            # Another sender took it over: what it finds counts.
            query = query.where(messages.c.claim == one.claim)
        with self._engine.begin() as connection:
            connection.execute(query.values(claim=None, claimed_until=0.0, **values))

    @staticmethod
    def _one_at_a_time(connection: sa.Connection, project: str) -> None:
        """Else a smaller id could appear after a larger one had been sent; SQLite has one writer anyway."""
        if connection.dialect.name == "postgresql":
            digest = sha256(f"outbox\0{project}".encode()).digest()
            lock = int.from_bytes(digest[:8], "big", signed=True)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))


def _first() -> sa.ColumnElement[bool]:
    """Nothing of its thread waits before it."""
    earlier = messages.alias("earlier")
    return ~sa.exists().where(
        earlier.c.project == messages.c.project,
        earlier.c.thread == messages.c.thread,
        earlier.c.state == "waiting",
        earlier.c.id < messages.c.id,
    )
