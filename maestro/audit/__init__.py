"""The audit log: every decision, waiver, signing and deletion, in an append-only Merkle log with signed checkpoints.

``log`` is what others use. ``event`` says what is logged and hashed, ``merkle`` is the tree (RFC 6962), ``note``,
``checkpoint`` and ``keyfile`` are signatures, ``database`` to ``reader`` are the storage, ``verification``
names what was changed, and ``formats`` to ``forward`` take entries out.
"""

from maestro.audit.checkpoint import Checkpoint, open_checkpoint
from maestro.audit.errors import (
    AuditError,
    AuditInputError,
    AuditTamperedError,
    ForwardError,
    NoteError,
    ProofError,
)
from maestro.audit.event import AuditEvent, Entry
from maestro.audit.log import AuditLog
from maestro.audit.note import VerifierKey, open_note
from maestro.audit.proof import ConsistencyProof, InclusionProof, read_proof

__all__ = [
    "AuditError",
    "AuditEvent",
    "AuditInputError",
    "AuditLog",
    "AuditTamperedError",
    "Checkpoint",
    "ConsistencyProof",
    "Entry",
    "ForwardError",
    "InclusionProof",
    "NoteError",
    "ProofError",
    "VerifierKey",
    "open_checkpoint",
    "open_note",
    "read_proof",
]
