"""Turns the claims of a step into signed statements: signed, audited, kept in the vault, indexed, in this order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from maestro.artifacts import Artifact, ArtifactStore, Claim, StepRecord, Subject
from maestro.evidence.errors import EvidenceError
from maestro.evidence.index import Entry, EvidenceIndex
from maestro.evidence.provenance import provenance
from maestro.evidence.result import result_digest
from maestro.evidence.types import REFERENCE, SLSA_PROVENANCE, evidence_type
from maestro.evidence.verify import EvidenceStatus, digest_name

if TYPE_CHECKING:
    from maestro.audit import AuditLog
    from maestro.signing import Signer
    from maestro.vault import Vault

BUNDLE_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

MOST_INLINE = 16 * 1024 * 1024
"""Bytes of a predicate; a longer one is referred to by its digest (in-toto reference predicate)."""


@dataclass(frozen=True, slots=True)
class IssueContext:
    """What a statement says besides the claim itself.

    Args:
        source: the revision of the source, as a subject.
        upstream_of: name -> record of every step before the one with this name.
        record_of: the record of a step by name, for provenance of what another step made.
        actor: who runs this.
    """

    source: Subject
    upstream_of: Callable[[str], Mapping[str, StepRecord]]
    record_of: Callable[[str], StepRecord | None]
    actor: str


class Issuer:
    """Signs claims.

    Args:
        signer: opened at the first claim that is signed.
        audit: opened likewise; the row stands before anything can find the statement.
        status: of a statement that is there; one that does not hold, or says anything else, is made again.
        builder: ``builder.id`` of provenance.
    """

    def __init__(
        self,
        store: ArtifactStore,
        index: EvidenceIndex,
        *,
        signer: Callable[[], Signer],
        audit: Callable[[], AuditLog],
        vault: Callable[[], Vault],
        status: Callable[[Entry], EvidenceStatus],
        builder: str,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._index = index
        self._signer = signer
        self._audit = audit
        self._vault = vault
        self._status = status
        self._builder = builder
        self._now = now

    def issue(self, record: StepRecord, context: IssueContext) -> tuple[Entry, ...]:
        """Where the signed statements of the record's claims are, in their order.

        What this revision has a statement of already is not signed again.

        Raises:
            EvidenceError: a claim cannot be made into a statement.
        """
        if not record.claims:
            return ()
        known = {one.claim: one for one in self._index.of_revision(record.project, record.revision)}
        return tuple(self._one(record, claim, context, known) for claim in record.claims)

    def _one(self, record: StepRecord, claim: Claim, context: IssueContext, known: Mapping[str, Entry]) -> Entry:
        evidence_type(claim.type)
        subjects = claim.subjects or (context.source,)
        predicate_type, predicate = self._predicate(record, claim, context)
        report = _named(record, claim.report, claim) if claim.report else None
        about = [one.to_json() for one in subjects]
        identity = _digest([claim.type, predicate_type, predicate, about, record.step, result_digest(record)])
        found = known.get(identity)
        if found is not None and self._says(found, predicate, report, result_digest(record)):
            return found
        return self._sign(record, claim, context, subjects, predicate_type, predicate, report, identity)

    def _says(self, entry: Entry, predicate: Mapping[str, Any], report: Artifact | None, result: str) -> bool:
        """Whether the statement, not only its entry, is the one that would be signed now."""
        status = self._status(entry)
        if status.verified is None or status.origin is None:
            return False
        said = (status.origin.result, status.origin.report, _digest(status.verified.statement.predicate))
        return said == (result, f"sha256:{report.sha256}" if report else None, _digest(predicate))

    def _sign(
        self,
        record: StepRecord,
        claim: Claim,
        context: IssueContext,
        subjects: Sequence[Subject],
        predicate_type: str,
        predicate: Mapping[str, Any],
        report: Artifact | None,
        identity: str,
    ) -> Entry:
        from maestro.audit import AuditEvent
        from maestro.signing import Origin, make_statement, sign_statement

        now = self._now()
        signer = self._signer()
        origin = Origin(
            project=record.project,
            revision=record.revision,
            run=record.run_id,
            step=record.step,
            signed_at=now,
            type=claim.type,
            report=f"sha256:{report.sha256}" if report else None,
            result=result_digest(record),
        )
        statement = make_statement(subjects, predicate_type, predicate, origin=origin)
        bundle = self._store.put_bytes(sign_statement(statement, signer), name=claim.type, media_type=BUNDLE_MEDIA_TYPE)
        digests = tuple(digest_of(one) for one in subjects)
        row = self._audit().append(
            AuditEvent(
                kind="evidence.signed",
                actor=context.actor,
                # By revision, so that what it must have is found without reading the whole log.
                object=record.revision,
                data={
                    "type": claim.type,
                    "predicate_type": predicate_type,
                    "subjects": list(digests),
                    "bundle": f"sha256:{bundle.sha256}",
                    "keyid": signer.keyid,
                    "project": record.project,
                    "revision": record.revision,
                    "run": record.run_id,
                    "step": record.step,
                },
                at=now,
            )
        )
        entry = Entry(
            project=record.project,
            revision=record.revision,
            run_id=record.run_id,
            step=record.step,
            type=claim.type,
            predicate_type=predicate_type,
            subjects=digests,
            bundle=bundle,
            names=_names(record, claim, predicate_type, report),
            claim=identity,
            signed_at=origin.annotations()["maestro.signed_at"],
            keyid=signer.keyid,
            audit_index=row.index,
            vault=self._keep(record, claim, bundle, now),
        )
        self._index.add(entry)
        return entry

    def _keep(self, record: StepRecord, claim: Claim, bundle: Artifact, at: datetime) -> dict[str, Any]:
        """Where the vault keeps the bundle."""
        key = f"evidence/{record.project}/{record.revision}/{claim.type}-{bundle.sha256}.json"
        locked = self._vault().put(key, self._store.get_bytes(bundle.sha256), evidence_type=claim.type, at=at)
        return {
            "key": locked.key,
            "version": locked.version_id,
            "until": None if locked.until is None else locked.until.isoformat(),
            "immutable": locked.immutable,
        }

    def _predicate(self, record: StepRecord, claim: Claim, context: IssueContext) -> tuple[str, Mapping[str, Any]]:
        if claim.predicate is not None:
            return claim.predicate_type, claim.predicate
        if claim.output is not None:
            return self._from_output(record, claim)
        if claim.predicate_type != SLSA_PROVENANCE:
            raise EvidenceError(f"step '{record.step}' claims '{claim.type}' but gives no predicate")
        about = record if claim.of_step is None else context.record_of(claim.of_step)
        if about is None:
            raise EvidenceError(
                f"step '{record.step}' asks for the provenance of step '{claim.of_step}', which has no record",
                next_step=f"run it first: maestro run {claim.of_step}",
            )
        return SLSA_PROVENANCE, provenance(
            about,
            builder=self._builder,
            source=context.source,
            upstream=context.upstream_of(about.step),
            before_proof=None if about is record else context.upstream_of(record.step),
        )

    def _from_output(self, record: StepRecord, claim: Claim) -> tuple[str, Mapping[str, Any]]:
        assert claim.output is not None
        output = _named(record, claim.output, claim)
        if output.size > MOST_INLINE:
            reference = {
                "mediaType": output.media_type,
                "digest": {"sha256": output.sha256},
                "name": output.name,
                "annotations": {"predicateType": claim.predicate_type},
            }
            return REFERENCE, {"attester": {"id": self._builder}, "references": [reference]}
        try:
            predicate = json.loads(self._store.get_bytes(output.sha256))
        except (ValueError, RecursionError) as error:
            raise EvidenceError(f"output '{output.name}' of step '{record.step}' is no JSON: {error}") from error
        if not isinstance(predicate, dict):
            raise EvidenceError(f"output '{output.name}' of step '{record.step}' is no JSON object")
        return claim.predicate_type, predicate


def digest_of(subject: Subject) -> str:
    """``<algorithm>:<hex>`` of the subject: its sha256 when it has one."""
    return digest_name(subject.digest)


def _names(record: StepRecord, claim: Claim, predicate_type: str, report: Artifact | None) -> tuple[Artifact, ...]:
    """The documents the statement names by digest."""
    referred = _named(record, claim.output, claim) if predicate_type == REFERENCE and claim.output else None
    named = {one.sha256: one for one in (report, referred) if one is not None}
    return tuple(named.values())


def _named(record: StepRecord, name: str | None, claim: Claim) -> Artifact:
    for output in record.outputs:
        if output.name == name:
            return output
    raise EvidenceError(f"step '{record.step}' claims '{claim.type}' from output '{name}', which it did not leave")


def _digest(document: Any) -> str:
    data = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(data.encode()).hexdigest()
