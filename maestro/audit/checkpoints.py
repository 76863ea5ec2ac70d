"""Checkpoints that are kept: in the database, and given to the sink; and what leads from one to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.dialects import postgresql, sqlite

from maestro.audit import reader, tables
from maestro.audit.checkpoint import Checkpoint
from maestro.audit.cursors import advance
from maestro.audit.database import Database, now
from maestro.audit.errors import AuditError, AuditInputError
from maestro.audit.merkle import Range, hashes_of
from maestro.audit.proof import ConsistencyProof


def keep(database: Database, checkpoint: Checkpoint) -> None:
    """Stores a checkpoint, once for each size."""
    insert = (postgresql.insert if database.kind == "postgresql" else sqlite.insert)(tables.CHECKPOINTS)
    values = {"size": checkpoint.size, "note": checkpoint.note, "at": now()}
    with database.writing() as connection:
        connection.execute(insert.values(values).on_conflict_do_nothing())


def publish(database: Database, sink: Callable[[str, int], object], cursor: str) -> None:
    """Gives the sink what it has not taken yet; no transaction is open meanwhile.

    Raises:
        AuditError: the sink failed.
    """
    for size, note in reader.checkpoint_notes(database, after=reader.cursor(database, cursor) - 1):
        try:
            sink(note, size)
        except Exception as error:
            raise AuditError(
                f"the checkpoint at {size} entries is kept, but could not be written to the vault: {error}",
                next_step="make the vault available; the next checkpoint takes it along",
            ) from error
        advance(database, cursor, size + 1)


def consistency_proof(
    database: Database, old: Checkpoint, new: Checkpoint, ranges: Callable[[int, int], Sequence[Range]]
) -> ConsistencyProof:
    """The proof, checked before it is handed out.

    Raises:
        AuditInputError: ``old`` is the later one.
        AuditError: the log does not have what was signed.
    """
    if old.size > new.size:
        raise AuditInputError(
            f"the checkpoint at {old.size} entries is later than the one at {new.size}",
            next_step="give the earlier one first; if the log itself is shorter, it was cut off: maestro audit verify",
        )
    needed = ranges(old.size, new.size) if old.size else []
    hashes = hashes_of(needed, lambda nodes: reader.nodes(database, nodes))
    proof = ConsistencyProof(old.note, new.note, hashes)
    from maestro.audit.merkle import check_consistency

    try:
        check_consistency(old.size, new.size, old.root, new.root, hashes)
    except Exception as error:
        raise AuditError(
            f"the audit log was rewritten: at {new.size} entries it does not begin with what was signed at {old.size}",
            next_step="run `maestro audit verify` with the checkpoints from the vault",
        ) from error
    return proof
