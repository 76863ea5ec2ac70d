"""The ledger's tables. Amounts are whole numbers; times are seconds since 1970 by the database's clock."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _whom() -> list[sa.Column[Any]]:
    return [
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("pull_request", sa.BigInteger),
        sa.Column("run", sa.Text),
        sa.Column("step", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("month", sa.String(7), nullable=False, comment="whose monthly budgets it counts in"),
    ]


SUMS = sa.Table(
    "maestro_ledger_sums",
    METADATA,
    sa.Column("scope", sa.Text, primary_key=True, comment="kind:month:name"),
    sa.Column("unit", sa.String(20), primary_key=True),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.CheckConstraint("spent >= 0 AND reserved >= 0", name="maestro_ledger_sums_not_negative"),
    sqlite_with_rowid=False,
)
LIMITS = sa.Table(
    "maestro_ledger_limits",
    METADATA,
    sa.Column("scope", sa.Text, primary_key=True, comment="kind:month:name, or a pattern"),
    sa.Column("unit", sa.String(20), primary_key=True),
    sa.Column("amount", sa.BigInteger, comment="null: not limited, whatever the default is"),
    sa.Column("source", sa.Text, nullable=False, comment="who set it"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)
RESERVATIONS = sa.Table(
    "maestro_ledger_reservations",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.String(10), nullable=False, comment="reserved, sent; settled, released, assumed"),
    *_whom(),
    sa.Column("amounts", sa.Text, nullable=False, comment="JSON: unit -> the most it may come to"),
    sa.Column("limits", sa.Text, nullable=False, comment="JSON: scope -> unit -> the workflow's limit"),
    sa.Column("actual", sa.Text, nullable=False, comment="JSON: unit -> what it came to"),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("lease", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, comment="why it was released, assumed or corrected"),
    sqlite_with_rowid=False,
)


def _in_state(*states: str) -> sa.ColumnElement[bool]:
    # As literals: SQLite uses a partial index only where the condition stands in the statement itself.
    return RESERVATIONS.c.state.in_([sa.literal_column(f"'{state}'") for state in states])


OPEN = _in_state("reserved", "sent")
sa.Index(
    "maestro_ledger_open",
    RESERVATIONS.c.expires,
    sqlite_where=sa.text("state IN ('reserved', 'sent')"),
    postgresql_where=sa.text("state IN ('reserved', 'sent')"),
)
OVER = _in_state("settled", "released")
sa.Index(
    "maestro_ledger_over",
    RESERVATIONS.c.expires,
    sqlite_where=sa.text("state IN ('settled', 'released')"),
    postgresql_where=sa.text("state IN ('settled', 'released')"),
)
CHARGES = sa.Table(
    "maestro_ledger_charges",
    METADATA,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("reservation", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False, index=True),
    *_whom(),
    sa.Column("unit", sa.String(20), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False, comment="below 0: it takes an earlier row back"),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False, comment="JSON"),
)
CROSSINGS = sa.Table(
    "maestro_ledger_crossings",
    METADATA,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("unit", sa.String(20), nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False, comment="the limit"),
    sa.Column("overdraft", sa.Text, nullable=False, comment="the reservation that cost more; empty: a threshold"),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("taken", sa.Double, comment="when somebody took it to tell people; null: nobody yet"),
    sa.UniqueConstraint("scope", "unit", "level", "amount", "overdraft"),
)
REMOVED = sa.Table(
    "maestro_ledger_removed",
    METADATA,
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("unit", sa.String(20), primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False, comment="charged for reservations that were removed"),
    sa.Column("fingerprint", sa.BigInteger, nullable=False, comment="of each of them and its amount, added up"),
    sqlite_with_rowid=False,
)
