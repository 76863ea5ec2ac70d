"""Appends rows: in one transaction the indexes are given out, rows and nodes written, and the new head signed."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from maestro.audit import tables
from maestro.audit.database import Database, lost_connection
from maestro.audit.errors import AuditError, AuditTamperedError
from maestro.audit.event import Entry, Row, read_entry
from maestro.audit.head import VERIFY, Growth, Head, grow, read_head
from maestro.audit.note import SignerKey

_TRIES = 3


class Writer:
    """Writes rows for any number of threads and processes; an index is given once and none is left out.

    Args:
        signer: signs the head of every commit.
    """

    def __init__(self, database: Database, signer: SignerKey) -> None:
        self._database = database
        self._signer = signer
        self._keys = (signer.verifier,)
        self._seen: Head | None = None
        self._seen_lock = threading.Lock()

    def write(self, rows: Sequence[Row]) -> list[Entry]:
        """Appends all rows, or none.

        When the server goes away during the commit, the rows are looked for before they are written again.

        Raises:
            AuditTamperedError: the log is not what was signed, or is shorter than it was.
            AuditError: the database refuses; nothing was written unless the message says otherwise.
        """
        failure: AuditError | None = None
        for _ in range(_TRIES):
            planned: list[Entry] = []
            try:
                self._transact(rows, planned)
            except AuditError as error:
                if not lost_connection(error):
                    raise
                failure = error
                if planned and self._landed(planned, error):
                    return planned
            else:
                return planned
        assert failure is not None
        raise failure

    def _transact(self, rows: Sequence[Row], planned: list[Entry]) -> None:
        with self._database.writing() as connection:
            head = read_head(connection, self._keys, lock=True)
            self._not_shorter(head)
            planned += [read_entry(head.size + place, row) for place, row in enumerate(rows)]
            growth = grow(head, [entry.leaf for entry in planned], self._signer)
            self._insert(connection, head.size, rows, growth)
        with self._seen_lock:
            if self._seen is None or self._seen.size < growth.head.size:
                self._seen = growth.head

    def _insert(self, connection: sa.Connection, first: int, rows: Sequence[Row], growth: Growth) -> None:
        entries = [
            {
                "idx": first + place,
                "at": row.at,
                "actor": row.actor,
                "kind": row.kind,
                "object": row.object,
                "data": row.data,
            }
            for place, row in enumerate(rows)
        ]
        try:
            connection.execute(tables.ENTRIES.insert(), entries)
            connection.execute(
                tables.NODES.insert(),
                [{"level": level, "idx": index, "hash": one} for level, index, one in growth.nodes],
            )
        except IntegrityError as error:
            raise AuditTamperedError(
                f"there are rows behind the end of the audit log, which is at {first}", next_step=VERIFY
            ) from error
        connection.execute(
            tables.HEAD.update(),
            {"size": growth.head.size, "frontier": b"".join(growth.head.frontier), "note": growth.head.checkpoint.note},
        )

    def _not_shorter(self, head: Head) -> None:
        # An older head is as well signed as the newest; this process at least remembers what it has seen.
        seen = self._seen
        if seen is None:
            return
        if head.size < seen.size or (head.size == seen.size and head.checkpoint.root != seen.checkpoint.root):
            raise AuditTamperedError(
                f"the audit log had {seen.size} entries and is now another one of {head.size}", next_step=VERIFY
            )

    def _landed(self, planned: Sequence[Entry], error: AuditError) -> bool:
        query = sa.select(tables.NODES.c.hash).where(tables.NODES.c.level == 0, tables.NODES.c.idx == planned[-1].index)
        try:
            with self._database.reading() as connection:
                found = connection.execute(query).scalar()
        except AuditError:
            raise AuditError(
                f"the audit database went away while {len(planned)} entries were written; they may be in it or not",
                next_step="when it is back, look with `maestro audit show`",
            ) from error
        return found is not None and bytes(found) == planned[-1].leaf
