"""The inbox's tables, and how rows become deliveries."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import sqlalchemy as sa

from maestro.inbox.model import Delivery, Headline

METADATA = sa.MetaData()
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DELIVERIES = sa.Table(
    "maestro_inbox",
    METADATA,
    sa.Column("id", _BIG, primary_key=True, autoincrement=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("delivery", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("received", sa.Text, nullable=False),
    sa.Column("trace", sa.Text, nullable=False),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    # Last, so that reading the others never touches the pages it is on.
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("provider", "project", "delivery"),
    # A position is never given twice, not even after its row has been deleted.
    sqlite_autoincrement=True,
)
PROBE = sa.Table(
    "maestro_inbox_probe",
    METADATA,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Text, nullable=False),
)
HEADLINE = [
    DELIVERIES.c[name] for name in ("id", "provider", "project", "delivery", "event", "received", "trace", "size")
]


def moment(at: datetime) -> str:
    """A time as rows keep it: UTC, as long as every other, so that text sorts as time does."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_moment(text: str) -> datetime:
    """The other way round."""
    return datetime.fromisoformat(text)


def delivery(row: sa.RowMapping) -> Delivery:
    """The delivery in a whole row."""
    return Delivery(
        provider=row["provider"],
        delivery=row["delivery"],
        event=row["event"],
        project=row["project"],
        headers=json.loads(row["headers"]),
        body=bytes(row["body"]),
        trace=row["trace"],
        id=row["id"],
        received=read_moment(row["received"]),
    )


def headline(row: sa.RowMapping) -> Headline:
    """The headline in a row of ``HEADLINE``."""
    return Headline(**{**row, "received": read_moment(row["received"])})
