"""The tables of decisions and of what became of them."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
DECISIONS = sa.Table(
    "maestro_llm_decisions",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False, index=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("pull_request", sa.BigInteger),
    sa.Column("run", sa.Text, index=True),
    sa.Column("step", sa.Text),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("chosen", sa.Text),
    sa.Column("document", sa.Text, nullable=False, comment="JSON: all of it"),
    sqlite_with_rowid=False,
)
CALLS = sa.Table(
    "maestro_llm_calls",
    METADATA,
    sa.Column("decision", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("cost_nano", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False, comment="JSON: all of it"),
    sqlite_with_rowid=False,
)
REMOVED = sa.Table(
    "maestro_llm_removed",
    METADATA,
    sa.Column("what", sa.String(20), primary_key=True),
    sa.Column("before", sa.Double, nullable=False, comment="what is older was removed"),
    sa.Column("days", sa.Integer, nullable=False, comment="after which it was"),
    sqlite_with_rowid=False,
)
