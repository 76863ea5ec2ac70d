"""The tables of decisions, of what became of them, and of which entries of the audit log they are in."""

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
AUDITED = sa.Table(
    "maestro_llm_audited",
    METADATA,
    sa.Column("decision", sa.Text, primary_key=True),
    sa.Column("batch", sa.Text, nullable=False, comment="the only entry of the audit log it is in"),
    sqlite_with_rowid=False,
)
BATCHES = sa.Table(
    "maestro_llm_audit_batches",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("last", sa.Double, nullable=False, comment="when its newest decision was made"),
    sa.Column("taken", sa.Double, nullable=False, comment="when somebody last set about writing its entry"),
    sa.Column("entry", sa.BigInteger, comment="index in the audit log; null: not known to be there"),
    sa.Column("data", sa.Text, comment="JSON: what the entry is to say; null once it is there"),
    sqlite_with_rowid=False,
)
BATCH_LOGS = sa.Table(
    "maestro_llm_audit_batch_logs",
    METADATA,
    sa.Column("batch", sa.Text, primary_key=True),
    sa.Column("log", sa.String(32), nullable=False, comment="the audit log its entry is in"),
    sa.Column("name", sa.Text, nullable=False, comment="of that log, for people"),
    sqlite_with_rowid=False,
)
AUDIT_CURSOR = sa.Table(
    "maestro_llm_audit_cursor",
    METADATA,
    sa.Column("what", sa.String(20), primary_key=True),
    sa.Column("at", sa.Double, nullable=False, comment="decisions made before then are in a batch"),
    sqlite_with_rowid=False,
)
FINDINGS = sa.Table(
    "maestro_llm_findings",
    METADATA,
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("kind", sa.String(10), primary_key=True, comment="health or breaker"),
    sa.Column("id", sa.String(32), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, comment="in a row"),
    sa.Column("opened", sa.Integer, nullable=False, comment="how often in a row"),
    sa.Column("asked", sa.Double, comment="seconds the provider asked to be left alone"),
    sa.Column("until", sa.Double, nullable=False, comment="by the database's clock"),
    sa.Column("forgotten", sa.Double, nullable=False, comment="from then on it means nothing"),
    sqlite_with_rowid=False,
)
