"""Reads entries, nodes, checkpoints and cursors; each read is a short transaction of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from maestro.audit import tables
from maestro.audit.database import Database
from maestro.audit.errors import AuditTamperedError
from maestro.audit.event import Entry, Row, read_entry
from maestro.audit.head import VERIFY
from maestro.audit.merkle import Node

BATCH = 2000
"""Rows read at once."""

_ENTRY = tables.ENTRIES.c


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries; all when empty.

    Args:
        kind: a kind, or its first words followed by a dot: ``waiver.`` for all about waivers.
    """

    kind: str | None = None
    actor: str | None = None
    object: str | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL."""
        made: list[sa.ColumnElement[bool]] = []
        if self.kind is not None:
            prefix = self.kind.endswith(".")
            made.append(_ENTRY.kind.startswith(self.kind, autoescape=True) if prefix else _ENTRY.kind == self.kind)
        if self.actor is not None:
            made.append(_ENTRY.actor == self.actor)
        if self.object is not None:
            made.append(_ENTRY.object == self.object)
        return made


def rows(
    database: Database, start: int | None, end: int | None, chosen: Filter | None = None, *, batch: int = BATCH
) -> Iterator[tuple[int, Row]]:
    """Index and texts of the rows from ``start`` up to, not including, ``end``, in order; no transaction stays open."""
    conditions = (chosen or Filter()).conditions()
    if end is not None:
        conditions.append(_ENTRY.idx < end)
    position = start
    while True:
        query = sa.select(_ENTRY.idx, _ENTRY.at, _ENTRY.actor, _ENTRY.kind, _ENTRY.object, _ENTRY.data).where(
            *conditions
        )
        if position is not None:
            query = query.where(_ENTRY.idx >= position)
        with database.reading() as connection:
            found = connection.execute(query.order_by(_ENTRY.idx).limit(batch)).all()
        for index, *texts in found:
            yield index, Row(*texts)
        if len(found) < batch:
            return
        position = found[-1].idx + 1


def entries(database: Database, start: int, end: int | None, chosen: Filter | None = None) -> Iterator[Entry]:
    """Entries from ``start`` up to, not including, ``end``.

    Raises:
        AuditTamperedError: a row is not one that was ever written.
    """
    for index, row in rows(database, start, end, chosen):
        try:
            yield read_entry(index, row)
        except (ValueError, TypeError) as error:
            raise AuditTamperedError(f"row {index} of the audit log was changed", next_step=VERIFY) from error


def last_indexes(database: Database, count: int, chosen: Filter | None = None) -> list[int]:
    """Indexes of the newest ``count`` entries, oldest first."""
    query = sa.select(_ENTRY.idx).where(*(chosen or Filter()).conditions()).order_by(_ENTRY.idx.desc()).limit(count)
    with database.reading() as connection:
        return list(connection.execute(query).scalars())[::-1]


def nodes(database: Database, wanted: Iterable[Node]) -> Mapping[Node, bytes]:
    """Hashes of perfect subtrees.

    Raises:
        AuditTamperedError: one is missing.
    """
    wanted = sorted(wanted)
    node = tables.NODES.c
    if not wanted:
        return {}
    # Pairs compared one by one are looked up in the index; a list of pairs makes SQLite read the whole table. They are
    # numbers, written as text: as forty expressions they would take longer to compile than to look up.
    pairs = " OR ".join(f"(level = {level:d} AND idx = {index:d})" for level, index in wanted)
    query = sa.select(node.level, node.idx, node.hash).where(sa.text(pairs))
    with database.reading() as connection:
        found = {(level, index): bytes(one) for level, index, one in connection.execute(query)}
    missing = [one for one in wanted if one not in found]
    if missing:
        level, index = missing[0]
        raise AuditTamperedError(
            f"the hash over the rows {index << level} to {((index + 1) << level) - 1} of the audit log is gone",
            next_step=VERIFY,
        )
    return found


def level(database: Database, number: int) -> Iterator[tuple[int, bytes]]:
    """Index and hash of all nodes of a level, in order."""
    node = tables.NODES.c
    position: int | None = None
    while True:
        query = sa.select(node.idx, node.hash).where(node.level == number).order_by(node.idx).limit(BATCH)
        with database.reading() as connection:
            found: Sequence[Any] = connection.execute(
                query if position is None else query.where(node.idx > position)
            ).all()
        for index, value in found:
            yield index, bytes(value)
        if len(found) < BATCH:
            return
        position = found[-1].idx


def checkpoint_notes(database: Database, after: int = -1) -> list[tuple[int, str]]:
    """Size and note of the stored checkpoints larger than ``after``, smallest first."""
    kept = tables.CHECKPOINTS.c
    query = sa.select(kept.size, kept.note).where(kept.size > after).order_by(kept.size)
    with database.reading() as connection:
        return [(size, note) for size, note in connection.execute(query)]


def cursor(database: Database, name: str) -> int:
    """Where a reader stopped: the index of its next entry; 0 at first."""
    query = sa.select(tables.CURSORS.c.position).where(tables.CURSORS.c.name == name)
    with database.reading() as connection:
        return int(connection.execute(query).scalar() or 0)
