"""What evidence a revision has and lacks: every statement there is, and everything the contract requires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maestro.artifacts import RecordStore
from maestro.evidence.contract import Contract
from maestro.evidence.desk import EvidenceDesk
from maestro.evidence.issue import digest_of
from maestro.evidence.verify import EvidenceStatus


def overview(desk: EvidenceDesk, revision: str, required: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each type and subject: ``type``, ``subject``, ``name``, ``state``, ``reason``, ``signed_at``."""
    contract = Contract(tuple(required))
    records = RecordStore(desk.store).steps_of_revision(desk.project, revision)
    names = {digest_of(one): one.name for record in records for one in record.subjects}
    entries = desk.index.of_revision(desk.project, revision)
    wanted = {(type_, digest): None for type_ in contract.of("artifact") for digest in names}
    about_source = sorted({one for entry in entries for one in entry.subjects if one.startswith("git")})
    for type_ in contract.of("source"):
        for digest in about_source or [f"revision {revision}"]:
            wanted[type_, digest] = None
    for entry in entries:
        for digest in entry.subjects:
            wanted.setdefault((entry.type, digest), None)
    rows = []
    for type_, digest in wanted:
        status = desk.verifier.status(type_, digest, revision, entries)
        quarantined = desk.quarantine.of(digest)
        rows.append(
            {
                "type": type_,
                "subject": digest,
                "name": names.get(digest, desk.project),
                "state": "quarantined" if quarantined else status.state,
                "reason": quarantined.reason if quarantined else status.reason,
                "required": type_ in required,
                "signed_at": _signed_at(status),
            }
        )
    return rows


def _signed_at(status: EvidenceStatus) -> str | None:
    return None if status.entry is None else status.entry.signed_at
