"""What evidence a revision has and lacks: every statement there is or was, and everything the contract requires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maestro.artifacts import RecordStore
from maestro.evidence.contract import Contract
from maestro.evidence.desk import EvidenceDesk
from maestro.evidence.issue import digest_of
from maestro.evidence.verify import EvidenceStatus


def overview(desk: EvidenceDesk, revision: str, required: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each type, subject and step: ``type``, ``subject``, ``name``, ``step``, ``state``, ``reason``,
    ``code``, ``required``, ``against``, ``signed_at``.

    ``against`` says what a statement that holds says against the revision: tests that failed, a gate that denied.
    ``signed_at`` is the statement's own word, RFC 3339; None unless it holds.
    """
    contract = Contract(tuple(required))
    records = RecordStore(desk.store).steps_of_revision(desk.project, revision)
    names = {digest_of(one): one.name for record in records for one in record.subjects}
    entries = desk.index.of_revision(desk.project, revision)
    known = {(one.type, digest) for one in entries for digest in one.subjects}
    logged = desk.logged(revision)
    known |= {(one.type, digest) for one in logged for digest in one.subjects}
    about_source = sorted({digest for _type, digest in known if digest.startswith("git")})
    # What gates have judged is what the contract is about; without a gate, everything that was delivered.
    judged = {digest for one in entries if one.type == "decision" for digest in one.subjects if digest in names}
    wanted = {(type_, digest) for type_ in contract.of("artifact") for digest in judged or names}
    if records:
        wanted |= {(type_, one) for type_ in contract.of("source") for one in about_source or [f"revision {revision}"]}
    rows = []
    for type_, digest in sorted(wanted | known):
        quarantined = desk.quarantine.of(digest)
        for status in desk.verifier.statuses(type_, digest, revision, entries, logged):
            origin = status.origin
            rows.append(
                {
                    "type": type_,
                    "subject": digest,
                    "name": names.get(digest) or _name(status, digest) or desk.project,
                    "step": None if origin is None else origin.step,
                    "state": "quarantined" if quarantined else status.state,
                    "reason": quarantined.reason if quarantined else status.reason,
                    "code": status.code,
                    "required": type_ in required,
                    "against": against(status),
                    "signed_at": None if origin is None else origin.signed_at.isoformat().replace("+00:00", "Z"),
                }
            )
    return rows


def against(status: EvidenceStatus) -> str | None:
    """What a statement that holds says against what it is about; None when it says nothing against it."""
    if status.verified is None:
        return None
    predicate = status.verified.statement.predicate
    if status.type == "decision" and predicate.get("allow") is not True:
        return "the gate has denied"
    if status.type == "test-report" and predicate.get("result") not in ("PASSED", "WARNED"):
        return "tests failed"
    return None


def _name(status: EvidenceStatus, digest: str) -> str | None:
    if status.verified is None:
        return None
    algorithm, _, value = digest.partition(":")
    return next((one.name for one in status.verified.statement.subjects if one.digest.get(algorithm) == value), None)
