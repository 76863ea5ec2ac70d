"""Moves the cursors of readers forward; never back, so that of two readers the farther one counts."""

from __future__ import annotations

from sqlalchemy.dialects import postgresql, sqlite

from maestro.audit import tables
from maestro.audit.database import Database, now


def advance(database: Database, name: str, position: int) -> None:
    """Notes that ``name`` needs nothing before ``position`` any more."""
    insert = (postgresql.insert if database.kind == "postgresql" else sqlite.insert)(tables.CURSORS)
    values = {"name": name, "position": position, "at": now()}
    statement = insert.values(values).on_conflict_do_update(
        index_elements=[tables.CURSORS.c.name],
        set_={"position": insert.excluded.position, "at": insert.excluded.at},
        where=tables.CURSORS.c.position < insert.excluded.position,
    )
    with database.writing() as connection:
        connection.execute(statement)
