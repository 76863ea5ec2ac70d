"""The outbox's tables; times are Unix seconds."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import sqlalchemy as sa

from maestro.outbox.message import Message, Outgoing

metadata = sa.MetaData()

messages = sa.Table(
    "maestro_outbox",
    metadata,
    # SQLite counts up by itself only in a column that is an INTEGER.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("thread", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("rank", sa.BigInteger, nullable=False),
    sa.Column("replaces", sa.Boolean, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),  # JSON.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("next_at", sa.Double, nullable=False),
    sa.Column("settled", sa.Double),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),  # JSON.
    sa.Column("claim", sa.Text),
    sa.Column("claimed_until", sa.Double, nullable=False),
    sa.UniqueConstraint("project", "key"),
    sa.Index("maestro_outbox_thread", "project", "thread", "id"),
    sa.Index("maestro_outbox_state", "state", "next_at"),
    # A position is never given twice, even after the newest message was pruned.
    sqlite_autoincrement=True,
)

remote = sa.Table(
    "maestro_outbox_remote",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)


def outgoing(row: sa.RowMapping) -> Outgoing:
    """The message in a row."""
    message = Message(
        project=row["project"],
        thread=row["thread"],
        key=row["key"],
        kind=row["kind"],
        payload=json.loads(row["payload"]),
        rank=row["rank"],
        replaces=row["replaces"],
    )
    return Outgoing(
        id=row["id"],
        message=message,
        state=row["state"],
        attempts=row["attempts"],
        created=_time(row["created"]),
        next_at=_time(row["next_at"]),
        reason=row["reason"],
        answer=json.loads(row["answer"]),
        settled=None if row["settled"] is None else _time(row["settled"]),
        claim=row["claim"],
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
