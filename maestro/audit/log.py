"""The audit log as others use it: open, append, read, checkpoint, prove, verify."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maestro.audit.checkpoint import Checkpoint, open_checkpoint
from maestro.audit.errors import AuditError, AuditInputError, AuditTamperedError
from maestro.audit.event import AuditEvent, Entry, Mask, Row, make_row
from maestro.audit.group_commit import GroupCommit
from maestro.audit.keyfile import load, load_or_create, public_file, write_public
from maestro.audit.merkle import consistency_ranges, hashes_of, inclusion_ranges, root_by_inclusion
from maestro.audit.note import SignerKey, VerifierKey, check_name
from maestro.audit.proof import ConsistencyProof, InclusionProof

if TYPE_CHECKING:
    from maestro.audit.database import Database
    from maestro.audit.reader import Filter
    from maestro.audit.report import AuditReport
    from maestro.audit.writer import Writer

Sink = Callable[[str, int], object]
"""Takes a checkpoint's note and its size to where it cannot be changed: the vault. Called again after a failure."""

_SINK_CURSOR = "checkpoint-sink"


class AuditLog:
    """An append-only Merkle log (RFC 6962) in a database; for any number of threads and processes.

    Made by ``open`` or ``read``.
    """

    def __init__(
        self, database: Database, key: VerifierKey, signer: SignerKey | None, mask: Mask | None, sink: Sink | None
    ) -> None:
        self._database = database
        self._signer = signer
        self._mask = mask
        self._sink = sink
        self._group: GroupCommit[Row, Entry] | None = None
        self._group_of = 0
        self.key = key
        """The public key; who verifies elsewhere needs it: ``str(log.key)``."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        origin: str | None,
        key_file: Path,
        mask: Mask | None = None,
        sink: Sink | None = None,
        create: bool = True,
    ) -> AuditLog:
        """Opens a log to append to; the first time, its tables and its key are made.

        Args:
            url: ``sqlite:////absolute/path.db`` or ``postgresql://user@host/database``.
            origin: the log's name, like ``maestro.example/audit/shop``; None: what the key file says.
            key_file: the private key, mode 0600; the public one is written beside it, ending in ``.pub``.
            mask: takes secrets out of actor, object and data before anything is kept.
            sink: where checkpoints go as well.
            create: False: a log that is not there is an error.

        Raises:
            AuditInputError: the address or the key file is wrong, or is another log's.
            AuditTamperedError: the key has begun a log, and the database has none.
            AuditError: the database does not answer.
        """
        from maestro.audit.database import Database
        from maestro.audit.head import first_head

        if origin is not None:
            check_name(origin)
        database = Database(url)
        # In this order: the public key is written last, so it says that the log must be there.
        begun = public_file(key_file).is_file()
        exists = database.exists()
        if begun and not exists:
            raise gone(database, key_file)
        if not exists and not create:
            raise _missing(database)
        if exists:
            # A key made now could not be this log's.
            try:
                signer = load(key_file, origin)
            except FileNotFoundError:
                raise AuditInputError(
                    f"there is an audit log in {database.shown}, but not its private key {key_file}",
                    next_step="copy the key file from where the log was begun, with mode 600",
                ) from None
        else:
            signer = load_or_create(key_file, origin)
            first = first_head(signer)
            database.create(str(signer.verifier), b"", first.checkpoint.note)
        recorded = _recorded_key(database)
        if recorded != str(signer.verifier):
            raise AuditInputError(
                f"the audit log in {database.shown} is signed by another key ({recorded.rpartition('+')[0]})",
                next_step=f"use that key in {key_file}, or another database",
            )
        if not public_file(key_file).is_file():
            write_public(key_file, signer.verifier)
        return cls(database, signer.verifier, signer, mask, sink)

    @classmethod
    def read(cls, url: str, *, key: VerifierKey) -> AuditLog:
        """Opens a log to read and verify only; needs no private key.

        Raises:
            AuditInputError: there is no log.
            AuditError: the database does not answer.
        """
        from maestro.audit.database import Database

        database = Database(url)
        if not database.exists():
            raise _missing(database)
        return cls(database, key, None, None, None)

    def close(self) -> None:
        """Closes the connections."""
        self._database.close()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.key.name

    @property
    def database(self) -> Database:
        """The database the log is in."""
        return self._database

    def append(self, event: AuditEvent) -> Entry:
        """Writes one event; when this returns it is on disk. Concurrent callers share a commit.

        Raises:
            AuditInputError: the event is not one that can be kept.
            AuditTamperedError: the log is not what was signed; nothing is appended to it.
            AuditError: the database refuses; nothing was written unless the message says otherwise.
        """
        return self.append_many([event])[0]

    def append_many(self, events: Iterable[AuditEvent]) -> list[Entry]:
        """Writes events with indexes in a row, all or none of them; raises as ``append``."""
        rows = [make_row(event, self._mask) for event in events]
        if not rows:
            return []
        return self._commits().submit(rows)

    def _commits(self) -> GroupCommit[Row, Entry]:
        from maestro.audit.writer import Writer

        if self._signer is None:
            raise AuditError("this audit log was opened to be read only", next_step="open it with its key file")
        # A lock that another thread held during a fork stays locked in the child for ever.
        if self._group is None or self._group_of != os.getpid():
            writer: Writer = Writer(self._database, self._signer)
            self._group, self._group_of = GroupCommit(writer.write), os.getpid()
        return self._group

    def head(self) -> Checkpoint:
        """The log as it is now: size, root, and the signature the last commit left.

        Raises:
            AuditTamperedError: the head is not what was signed.
        """
        from maestro.audit.head import read_head

        with self._database.reading() as connection:
            return read_head(connection, [self.key]).checkpoint

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.head().size

    def entries(self, start: int = 0, end: int | None = None, *, chosen: Filter | None = None) -> Iterator[Entry]:
        """Entries from ``start`` up to, not including, ``end``, in order; read in batches, checked only for form.

        Raises:
            AuditTamperedError: a row is not one that was ever written.
        """
        from maestro.audit import reader

        return reader.entries(self._database, start, end, chosen)

    def checkpoint(self) -> str:
        """Keeps the signed note of the log as it is now, gives it to the sink, and returns it.

        Checkpoints the sink has not taken yet are given to it first, the oldest first.

        Raises:
            AuditTamperedError: the head is not what was signed.
            AuditError: the database refuses, or the sink: then the checkpoint is kept and given again next time.
        """
        from maestro.audit.checkpoints import keep, publish

        if self._signer is None:
            raise AuditError("this audit log was opened to be read only", next_step="open it with its key file")
        checkpoint = self.head()
        keep(self._database, checkpoint)
        if self._sink is not None:
            publish(self._database, self._sink, _SINK_CURSOR)
        return checkpoint.note

    def checkpoints(self) -> list[str]:
        """Notes of all checkpoints kept, the oldest first; as stored, not verified."""
        from maestro.audit import reader

        return [note for _, note in reader.checkpoint_notes(self._database)]

    def prove(self, index: int, *, at: Checkpoint | None = None) -> InclusionProof:
        """Proof that entry ``index`` is in the log.

        Args:
            at: of this log, for several proofs of one moment; as it is now when None.

        Raises:
            AuditInputError: there is no such entry.
            AuditTamperedError: the row or a hash it needs was changed or is gone.
        """
        from maestro.audit import reader

        head = self.head() if at is None else at
        if not 0 <= index < head.size:
            raise AuditInputError(
                f"there is no entry {index}: the audit log has {head.size}", next_step="list them: maestro audit show"
            )
        found = next(self.entries(index, index + 1), None)
        if found is None:
            raise AuditError(f"entry {index} is gone from the audit log", next_step="run `maestro audit verify`")
        hashes = hashes_of(inclusion_ranges(index, head.size), lambda nodes: reader.nodes(self._database, nodes))
        if root_by_inclusion(index, head.size, found.leaf, hashes) != head.root:
            raise AuditTamperedError(
                f"row {index} of the audit log or a hash above it was changed: it does not lead to what was signed",
                next_step="run `maestro audit verify`",
            )
        return InclusionProof(found.to_json(), hashes, head.note)

    def consistency(self, old: str, new: str | None = None) -> ConsistencyProof:
        """Proof that the log at checkpoint ``new`` begins with all of the log at checkpoint ``old``.

        Args:
            new: the log as it is now when None.

        Raises:
            NoteError: a checkpoint is not this log's.
            AuditError: the log no longer has what was signed; it was cut off or rewritten.
        """
        from maestro.audit.checkpoints import consistency_proof

        earlier = open_checkpoint(old, [self.key])
        later = self.head() if new is None else open_checkpoint(new, [self.key])
        return consistency_proof(self._database, earlier, later, consistency_ranges)

    def verify(self, published: Sequence[str] = ()) -> AuditReport:
        """Recomputes everything and names what is not as it was written.

        Args:
            published: notes of checkpoints kept elsewhere, from the vault; what they say must still hold.

        Raises:
            AuditError: the database does not answer.
        """
        from maestro.audit.verification import verify

        return verify(self._database, self.key, published)


def gone(database: Database, key_file: Path) -> AuditTamperedError:
    """What to say when there is a log's key and no log."""
    return AuditTamperedError(
        f"the audit log that {key_file} has signed is gone from {database.shown}",
        next_step="restore the database; to begin a new log, move the key and its .pub file away",
    )


def _missing(database: Database) -> AuditInputError:
    return AuditInputError(
        f"there is no audit log in {database.shown}",
        next_step="the first run writes one; or name the database with --db",
    )


def _recorded_key(database: Database) -> str:
    import sqlalchemy as sa

    from maestro.audit import tables

    with database.reading() as connection:
        return str(connection.execute(sa.select(tables.LOG.c.key)).scalar())
