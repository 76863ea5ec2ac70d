"""The head of the log: its size, its frontier, and the signature over both, as every commit leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from maestro.audit import tables
from maestro.audit.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from maestro.audit.errors import AuditTamperedError, NoteError
from maestro.audit.merkle import cover, extend, fold
from maestro.audit.note import SignerKey, VerifierKey

VERIFY = "stop what writes to it and run `maestro audit verify`"


@dataclass(frozen=True, slots=True)
class Head:
    """What the next entry is appended to.

    Args:
        frontier: hashes of the perfect subtrees the log now consists of, left to right.
    """

    checkpoint: Checkpoint
    frontier: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Entries so far."""
        return self.checkpoint.size


@dataclass(frozen=True, slots=True)
class Growth:
    """A head after leaves were added, and the nodes that became complete."""

    head: Head
    nodes: Sequence[tuple[int, int, bytes]]


def first_head(signer: SignerKey) -> Head:
    """The head of an empty log."""
    return Head(sign_checkpoint(0, fold([]), signer), ())


def grow(head: Head, leaves: Sequence[bytes], signer: SignerKey) -> Growth:
    """Adds leaves and signs what comes out."""
    frontier = list(head.frontier)
    nodes = [node for place, leaf in enumerate(leaves) for node in extend(frontier, head.size + place, leaf)]
    checkpoint = sign_checkpoint(head.size + len(leaves), fold(frontier), signer)
    return Growth(Head(checkpoint, tuple(frontier)), nodes)


def read_head(connection: sa.Connection, keys: Sequence[VerifierKey], *, lock: bool = False) -> Head:
    """The head, checked: whoever changed it must not be able to have that signed.

    Args:
        lock: other writers wait until the transaction ends.

    Raises:
        AuditTamperedError: it is gone, not signed by one of ``keys``, or is not what was signed.
    """
    query = sa.select(tables.HEAD.c.size, tables.HEAD.c.frontier, tables.HEAD.c.note)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise AuditTamperedError("the head of the audit log is gone", next_step=VERIFY)
    try:
        checkpoint = open_checkpoint(str(row.note), keys)
    except NoteError as error:
        raise AuditTamperedError(f"the head of the audit log is not genuine: {error.what}", next_step=VERIFY) from error
    data = bytes(row.frontier) if isinstance(row.frontier, bytes | memoryview) else b""
    frontier = tuple(data[place : place + 32] for place in range(0, len(data), 32))
    if (
        row.size != checkpoint.size
        or len(frontier) != len(cover(0, checkpoint.size))
        or fold(frontier) != checkpoint.root
    ):
        raise AuditTamperedError("the head of the audit log is not what was signed", next_step=VERIFY)
    return Head(checkpoint, frontier)
