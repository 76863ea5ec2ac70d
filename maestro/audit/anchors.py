"""The signed roots a log is held against: its head, the checkpoints beside it, and those kept elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maestro.audit import reader, tables
from maestro.audit.checkpoint import Checkpoint, open_checkpoint
from maestro.audit.database import Database
from maestro.audit.errors import AuditTamperedError, NoteError
from maestro.audit.head import read_head
from maestro.audit.merkle import Node, cover
from maestro.audit.note import VerifierKey
from maestro.audit.report import Finding


@dataclass(frozen=True, slots=True)
class Anchors:
    """What was signed.

    Args:
        checkpoints: genuine ones, smallest first, one for each size.
        frontier: the genuine hashes the head's root was made of; empty when the head is not genuine.
        findings: what is wrong with them.
    """

    checkpoints: Sequence[Checkpoint]
    frontier: Mapping[Node, bytes]
    findings: Sequence[Finding]
    warnings: Sequence[str]

    @property
    def size(self) -> int:
        """The largest size that was signed."""
        return self.checkpoints[-1].size if self.checkpoints else 0


def gather(database: Database, key: VerifierKey, published: Sequence[str]) -> Anchors:
    """Opens every note there is; one that does not verify is a finding and proves nothing."""
    findings: list[Finding] = []
    warnings: list[str] = []
    genuine: dict[int, Checkpoint] = {}
    frontier: dict[Node, bytes] = {}

    def take(checkpoint: Checkpoint, where: str) -> None:
        other = genuine.setdefault(checkpoint.size, checkpoint)
        if other.root != checkpoint.root:
            text = f"two different logs of {checkpoint.size} entries were signed; the second is {where}"
            findings.append(Finding("forked", None, None, text))

    # Those kept elsewhere come first: of two that disagree they are the harder ones to change. The head comes last,
    # since it may have grown meanwhile.
    for number, note in enumerate(published):
        try:
            take(open_checkpoint(note, [key]), f"published checkpoint {number + 1}")
        except NoteError as error:
            findings.append(Finding("checkpoint", None, None, f"published checkpoint {number + 1}: {error.what}"))
    kept = reader.checkpoint_notes(database)
    for size, note in kept:
        try:
            checkpoint = open_checkpoint(str(note), [key])
        except NoteError as error:
            findings.append(Finding("checkpoint", None, None, f"the checkpoint at {size} entries: {error.what}"))
            continue
        if checkpoint.size != size:
            text = f"the checkpoint at {size} entries was signed over {checkpoint.size}"
            findings.append(Finding("checkpoint", None, None, text))
        take(checkpoint, f"the stored checkpoint at {size} entries")
    gone = sorted(set(genuine) - {size for size, _ in kept})
    if gone:
        warnings.append(f"published checkpoints are missing from the database: at {', '.join(map(str, gone))} entries")

    with database.reading() as connection:
        try:
            whole = read_head(connection, [key])
        except AuditTamperedError as error:
            findings.append(Finding("head", None, None, error.what))
        else:
            head = whole.checkpoint
            take(head, "the head")
            frontier = dict(zip(cover(0, head.size), whole.frontier, strict=True))
            largest = max(genuine)
            if head.size < largest:
                text = f"the head is at {head.size} entries, though {largest} were signed: an older head was put back"
                findings.append(Finding("head", head.size, largest - 1, text))
        off = tables.missing_guards(connection)
    if off:
        warnings.append(f"triggers that refuse changes are missing or off: {', '.join(off)}")
    return Anchors([genuine[size] for size in sorted(genuine)], frontier, findings, warnings)
