"""Whether a step may use what earlier ones left behind: nothing whose evidence is missing or does not verify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from maestro.artifacts import Artifact, ArtifactMissingError, Claim, CorruptArtifactError, StepRecord, Subject
from maestro.errors import MaestroError
from maestro.evidence.agreement import check_agreement
from maestro.evidence.contract import Contract
from maestro.evidence.errors import EvidenceError, QuarantinedError
from maestro.evidence.issue import digest_of
from maestro.evidence.quarantine import Quarantined
from maestro.evidence.result import result_digest
from maestro.evidence.verify import EvidenceStatus, origin_of
from maestro.oci.manifest import LAYOUT_ARCHIVE

if TYPE_CHECKING:
    from maestro.evidence.desk import EvidenceDesk


class EvidenceUse:
    """Checks before something is used; remembers the bytes it has looked at.

    Args:
        desk: of the project.
    """

    def __init__(self, desk: EvidenceDesk) -> None:
        self._desk = desk
        self._images: dict[str, str] = {}
        self._documents: dict[str, bool] = {}

    def check(self, records: Mapping[str, StepRecord], source: Subject, *, revision: str) -> None:
        """Lets a step use what these records name, or says which statement stands in the way.

        Args:
            records: step name -> record.
            source: the revision of the source.
            revision: whose evidence counts, whatever a record says.

        Raises:
            EvidenceError: its bytes cannot be read, or a step has delivered something else than was signed later.
            QuarantinedError: set aside earlier, or now since a statement does not hold.
        """
        for name, record in records.items():
            for subject in record.subjects:
                self._refuse_quarantined(name, subject)
            self._check_claims(name, record, source, revision)
            for subject in record.subjects:
                self._check_bytes(name, record, subject)
        check_agreement(records)

    def why_not_cached(self, record: StepRecord, key: str) -> str | None:
        """Why a record from the cache must not be used, nor signed anew; None when it may be.

        What it claims was signed when it was made, together with everything else in it. So nobody can put a result
        into the cache, or under another key, and have it signed.
        """
        if record.cache_key != key:
            return "it was made under another key"
        if record.subjects and not record.claims:
            return "what it delivers was never signed"
        if len(record.evidence) < len(record.claims):
            return "what it claims was never signed"
        for claim, bundle in zip(record.claims, record.evidence, strict=False):
            opened = self._desk.verifier.open(bundle)
            if isinstance(opened, tuple):
                return opened[1]
            try:
                origin = origin_of(opened.statement)
            except MaestroError as error:
                return error.what
            if (origin.project, origin.type, origin.result) != (self._desk.project, claim.type, result_digest(record)):
                return f"its {claim.type} statement is of another result"
        return None

    def check_contract(
        self,
        contract: Contract,
        records: Mapping[str, StepRecord],
        gates: Mapping[str, StepRecord],
        source: Subject,
        *,
        revision: str,
    ) -> None:
        """Raises QuarantinedError unless all evidence the contract requires is there and holds.

        What gates have let through is what counts; without a gate, everything that was delivered.

        Args:
            records, gates: step name -> record.
            source: the revision of the source.
            revision: whose evidence counts.
        """
        allowed = {digest_of(one) for gate in gates.values() for claim in gate.claims for one in claim.subjects}
        for name, record in records.items():
            for subject in record.subjects:
                if gates and digest_of(subject) not in allowed:
                    continue
                for type_ in contract.of("artifact"):
                    self._require(name, subject, type_, revision)
        for type_ in contract.of("source"):
            self._require(next(iter(records), "source"), source, type_, revision)

    def _require(self, name: str, subject: Subject, type_: str, revision: str) -> None:
        status = self._desk.status(type_, subject, revision)
        if status.state == "rejected":
            self._reject(name, subject, status, revision)
        if status.state == "missing":
            raise QuarantinedError(
                f"{subject.name} ({digest_of(subject)}) of step '{name}' must not be used: {status.reason}, "
                "which the project's contract requires",
                digest=digest_of(subject),
                step=name,
                reason=status.reason or "missing",
                next_step=f"add a step that makes {type_} evidence of it before the gate",
            )

    def _refuse_quarantined(self, name: str, subject: Subject) -> None:
        found = self._desk.quarantine.of(digest_of(subject))
        if found is not None:
            raise _quarantined(name, found)

    def _check_bytes(self, name: str, record: StepRecord, subject: Subject) -> None:
        """The bytes a subject says it is are those the record names."""
        output = next((one for one in record.outputs if one.name == subject.output), None)
        if output is None:
            # Bytes that are elsewhere need no output; but then nothing of this step gets into the workspace.
            if subject.output is None and not any(one.path for one in record.outputs):
                return
            has = "among no output of its record"
        else:
            try:
                has = self._bytes_of(output)
            except (ArtifactMissingError, CorruptArtifactError) as error:
                raise EvidenceError(
                    f"{subject.name} ({digest_of(subject)}) of step '{name}' cannot be used, since its bytes are not "
                    f"those its statements are about: {error.what}",
                    next_step=f"make it again: maestro run {name}; find out who could change the store",
                ) from error
            if has == digest_of(subject):
                return
        entry = self._desk.set_aside(
            subject,
            f"step '{name}' has it as {has}, its evidence is about {digest_of(subject)}",
            revision=record.revision,
            step=name,
        )
        raise _quarantined(name, entry)

    def _bytes_of(self, output: Artifact) -> str:
        if output.media_type != LAYOUT_ARCHIVE:
            return f"sha256:{output.sha256}"
        known = self._images.get(output.sha256)
        if known is None:
            from maestro.evidence.image_bytes import archived_image

            known = self._images[output.sha256] = archived_image(self._desk.store, output, self._desk.home)
        return known

    def _check_claims(self, name: str, record: StepRecord, source: Subject, revision: str) -> None:
        result = result_digest(record)
        for position, claim in enumerate(record.claims):
            for subject in claim.subjects or (source,):
                status = self._of_claim(record, position, subject, revision, result)
                if status.state != "verified":
                    self._reject(name, subject, status, revision)

    def _of_claim(
        self, record: StepRecord, position: int, subject: Subject, revision: str, result: str
    ) -> EvidenceStatus:
        claim, digest = record.claims[position], digest_of(subject)
        if position >= len(record.evidence):
            return EvidenceStatus(claim.type, digest, "rejected", "it was never signed", "unsigned")
        bundle = record.evidence[position]
        status = self._desk.verifier.check(bundle, claim.type, digest, revision)
        if status.origin is not None and status.origin.result != result:
            reason = f"it was signed for another result than the record of step '{record.step}' has"
            return EvidenceStatus(claim.type, digest, "rejected", reason, "result_mismatch", bundle.sha256)
        lost = self._lost_document(record, claim) if status.state == "verified" else None
        if lost is not None:
            return EvidenceStatus(claim.type, digest, "rejected", lost, "unreadable", bundle.sha256)
        return status

    def _lost_document(self, record: StepRecord, claim: Claim) -> str | None:
        """Why a document the claim was made from is not what it was; None when all are there."""
        for one in record.outputs:
            if one.name not in (claim.report, claim.output):
                continue
            if one.sha256 not in self._documents:
                try:
                    self._documents[one.sha256] = self._desk.store.verify(one.sha256)
                except ArtifactMissingError:
                    self._documents[one.sha256] = False
            if not self._documents[one.sha256]:
                return f"its document {one.name} (sha256:{one.sha256}) is gone from the store, or was changed there"
        return None

    def _reject(self, name: str, subject: Subject, status: EvidenceStatus, revision: str) -> None:
        bundle = f" sha256:{status.bundle}" if status.bundle else ""
        reason = f"its {status.type} statement{bundle} does not verify: {status.reason} ({status.code})"
        raise _quarantined(name, self._desk.set_aside(subject, reason, revision=revision, step=name))


def _quarantined(step: str, entry: Quarantined) -> QuarantinedError:
    return QuarantinedError(
        f"{entry.name} ({entry.digest}) of step '{step}' is in quarantine: {entry.reason}",
        digest=entry.digest,
        step=step,
        reason=entry.reason,
        next_step=f"find out why; then make it again, or `maestro evidence quarantine {entry.digest} --release "
        "--reason TEXT`",
    )
