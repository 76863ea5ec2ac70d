"""The tables of the log, the same in SQLite and PostgreSQL, and the triggers that refuse changes.

``audit_nodes`` holds every perfect subtree's hash, leaves at level 0. ``audit_head`` is one row: what writers lock,
with the size, the frontier and a signed checkpoint of every commit. Triggers are a guard against mistakes; the
proof is the tree, for whoever may drop a trigger may also edit a row.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

# Only INTEGER is an alias of the rowid in SQLite; it has 64 bits there all the same.
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

LOG = sa.Table(
    "audit_log",
    METADATA,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
)
ENTRIES = sa.Table(
    "audit_entries",
    METADATA,
    sa.Column("idx", _BIG, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Index("audit_entries_kind", "kind", "idx"),
    sa.Index("audit_entries_object", "object", "idx"),
)
NODES = sa.Table(
    "audit_nodes",
    METADATA,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("idx", _BIG, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
HEAD = sa.Table(
    "audit_head",
    METADATA,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", _BIG, nullable=False),
    sa.Column("frontier", sa.LargeBinary, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
CHECKPOINTS = sa.Table(
    "audit_checkpoints",
    METADATA,
    sa.Column("size", _BIG, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
CURSORS = sa.Table(
    "audit_cursors",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", _BIG, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)

APPEND_ONLY = (LOG, ENTRIES, NODES, CHECKPOINTS)
_SAYS = "the audit log is append-only"


def guards(dialect: str) -> dict[str, str]:
    """Name of each trigger -> the statement that makes it; PostgreSQL's function comes first, under an empty name."""
    made: dict[str, str] = {}
    if dialect == "postgresql":
        made[""] = (
            "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_SAYS}'; END $$"
        )
    for table in APPEND_ONLY:
        for action in ("update", "delete"):
            name = f"{table.name}_no_{action}"
            made[name] = _guard(dialect, name, f"BEFORE {action.upper()} ON {table.name}")
        if dialect == "postgresql":
            name = f"{table.name}_no_truncate"
            made[name] = _guard(dialect, name, f"BEFORE TRUNCATE ON {table.name}", each="STATEMENT")
    return made


def _guard(dialect: str, name: str, when: str, each: str = "ROW") -> str:
    if dialect == "postgresql":
        return f"CREATE TRIGGER {name} {when} FOR EACH {each} EXECUTE FUNCTION audit_append_only()"
    return f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END"


def missing_guards(connection: sa.Connection) -> list[str]:
    """Names of triggers that are gone or switched off."""
    if connection.dialect.name == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND tgname LIKE 'audit_%'"
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    present = set(connection.execute(sa.text(query)).scalars())
    return [name for name in guards(connection.dialect.name) if name and name not in present]
