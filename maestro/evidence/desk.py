"""The evidence desk of a project: signs, verifies, sets aside, decides; keys, log and vault are opened when needed."""

from __future__ import annotations

import getpass
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.artifacts import ArtifactStore, StepRecord, Subject
from maestro.errors import MaestroError
from maestro.evidence.config import EvidenceConfig, PolicyConfig
from maestro.evidence.contract import Contract
from maestro.evidence.errors import QuarantinedError
from maestro.evidence.index import Entry, EvidenceIndex
from maestro.evidence.issue import IssueContext, Issuer, digest_of
from maestro.evidence.quarantine import Quarantine, Quarantined
from maestro.evidence.verify import EvidenceStatus, EvidenceVerifier

if TYPE_CHECKING:
    from maestro.audit import AuditLog
    from maestro.policy import Decision, PolicyEngine
    from maestro.signing import Signer, TrustRoot
    from maestro.signing.project_keys import ProjectKeys
    from maestro.vault import Vault

EVIDENCE_TABLE = "evidence"
"""Name of the metadata that lists a step's signed statements."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class EvidenceDesk:
    """Evidence of one project.

    Args:
        home: the project's state folder.
        project: its name.
        environ: where keys and vault find their credentials.
        actor: who acts, in the audit log; the user of the operating system when not given.
        now: the clock.
    """

    home: Path
    project: str
    store: ArtifactStore
    config: EvidenceConfig
    policy: PolicyConfig
    environ: Mapping[str, str]
    actor: str = ""
    now: Callable[[], datetime] = field(default=_now)

    def __post_init__(self) -> None:
        self.actor = self.actor or self.environ.get("MAESTRO_ACTOR") or _user()
        self.index = EvidenceIndex(self.store)
        self.quarantine = Quarantine(self.store)
        self._opening = threading.RLock()
        self._noted = False
        self._issuer = Issuer(
            self.store,
            self.index,
            signer=lambda: self.signer,
            audit=lambda: self.audit,
            vault=lambda: self.vault,
            builder=self.config.builder,
            now=self.now,
        )

    @property
    def keys(self) -> Path:
        """The folder of the project's own keys."""
        return self.home / "keys"

    @cached_property
    def signer(self) -> Signer:
        """The key statements are signed with; in the default profile made on first use, and trusted here."""
        with self._opening:
            return self.project_keys.signer(self.config.key, environ=self.environ)

    @property
    def project_keys(self) -> ProjectKeys:
        """The project's keys; every change of them is a row of the audit log."""
        from maestro.signing.project_keys import KeyChange, ProjectKeys

        def audit(change: KeyChange) -> None:
            self.note(change.kind, change.keyid, change.data)

        return ProjectKeys(self.keys, self.trust_file, audit, self.now)

    @property
    def trust_file(self) -> Path:
        """The file that says whose signatures count."""
        return Path(self.config.trust) if self.config.trust else self.keys / "trust.yaml"

    @property
    def trust(self) -> TrustRoot:
        """Whose signatures count now. Nobody's while there is no trust file."""
        return self.project_keys.trust()

    @cached_property
    def audit(self) -> AuditLog:
        """The audit log."""
        from maestro.audit import AuditLog

        with self._opening:
            url = self.config.audit or f"sqlite:///{self.home / 'audit.db'}"
            return AuditLog.open(
                url,
                origin=self.config.origin or f"maestro/{self.project}",
                key_file=self.keys / "audit.pem",
                sink=self._keep_checkpoint,
            )

    def _keep_checkpoint(self, note: str, size: int) -> None:
        digest = hashlib.sha256(note.encode()).hexdigest()[:16]
        key = f"audit/{self.project}/checkpoint-{size:012d}-{digest}.txt"
        self.vault.put(key, note.encode(), evidence_type="checkpoint")

    @cached_property
    def vault(self) -> Vault:
        """Where statements are kept so that nobody can change them; a folder by default, which cannot promise that."""
        from maestro.vault import open_vault

        with self._opening:
            return open_vault(self.config.vault, folder=self.home / "vault", environ=self.environ)

    @cached_property
    def verifier(self) -> EvidenceVerifier:
        """Verifies statements; remembers what it has verified."""
        return EvidenceVerifier(self.store, self.index, lambda: self.trust, self.project)

    @cached_property
    def engine(self) -> PolicyEngine:
        """What evaluates policy."""
        from maestro.policy import load_bundle, open_engine

        with self._opening:
            bundle = load_bundle(
                None if self.policy.bundle is None else Path(self.policy.bundle),
                trust=self.trust if self.policy.require_signed else None,
            )
            return open_engine(bundle, opa_url=self.policy.opa, timeout=self.policy.timeout)

    def note(self, kind: str, object_: str, data: Mapping[str, Any]) -> int:
        """Writes one row of the audit log; its index."""
        from maestro.audit import AuditEvent

        row = self.audit.append(AuditEvent(kind=kind, actor=self.actor, object=object_, data=dict(data), at=self.now()))
        self._noted = True
        return row.index

    def issue(self, record: StepRecord, context: IssueContext) -> StepRecord:
        """``record`` with its claims signed (see :class:`Issuer`), and a table of what was signed for people."""
        self.signer  # noqa: B018 - the key is trusted before anything it signs can be read
        issued = self._issuer.issue(record, context)
        self._noted = True
        rows = [self._shown(entry) for entry in issued]
        return replace(
            record, evidence=tuple(one.bundle for one in issued), metadata={**record.metadata, EVIDENCE_TABLE: rows}
        )

    def _shown(self, entry: Entry) -> dict[str, Any]:
        status = self.verifier.check(entry.bundle, entry.type, entry.subjects[0], entry.revision, entry)
        signer = "-" if status.verified is None else status.verified.signer.name
        development = status.verified is not None and status.verified.signer.development
        kept = entry.vault or {}
        locked = f"locked until {kept.get('until')}" if kept.get("immutable") else "kept, not immutable"
        return {
            "type": entry.type,
            "state": status.state,
            "verified signer": f"{signer} (development key)" if development else signer,
            "subject": entry.subjects[0],
            "statement": f"sha256:{entry.bundle.sha256}",
            "vault": f"{self.vault.where}/{kept['key']}, {locked}" if kept else "-",
            "audit log": "-" if entry.audit_index is None else f"row {entry.audit_index}",
        }

    def close(self) -> None:
        """Signs a checkpoint of what was logged, gives it to the vault, and closes the log.

        Raises:
            MaestroError: log or vault refuse; the checkpoint is given to the vault next time.
        """
        engine: PolicyEngine | None = self.__dict__.pop("engine", None)
        if engine is not None:
            engine.close()
        log: AuditLog | None = self.__dict__.pop("audit", None)
        if log is None:
            return
        try:
            if self._noted:
                log.checkpoint()
        finally:
            log.close()

    def decide(self, name: str, input_: Mapping[str, Any]) -> Decision:
        """What policy ``name`` says of ``input_``, audited. Never raises for trouble with policy: that is a denial."""
        from maestro.policy import decide

        decision = decide(lambda: self.engine, name, input_)
        row = decision.to_json()
        self.note(
            "policy.decision",
            name,
            {
                "decision": decision.id,
                "allow": decision.allow,
                "reasons": [one["message"] for one in row["reasons"]][:50],
                "waivers": [one["id"] for one in row["waivers"]],
                "bundle": decision.bundle_digest,
                "input": decision.input_digest,
                "revision": input_.get("revision"),
                "project": self.project,
            },
        )
        for waiver in row["waivers"]:
            self.note("waiver.used", waiver["id"], {"decision": decision.id, "revision": input_.get("revision")})
        return decision

    def with_waivers(self, input_: Mapping[str, Any]) -> dict[str, Any]:
        """``input_`` with the waivers that hold now marked on the findings they are about."""
        from maestro.policy.waivers import apply_waivers, load_waivers

        waivers = load_waivers(self.store, self.trust, now=self.now())
        return apply_waivers(input_, waivers, self.now())[0]

    def set_aside(self, subject: Subject, reason: str, *, revision: str | None, step: str | None) -> Quarantined:
        """Puts ``subject`` into quarantine, audited, because its evidence does not hold."""
        entry = Quarantined(
            digest=digest_of(subject),
            name=subject.name,
            reason=reason,
            by="maestro",
            at=self.now().isoformat(),
            revision=revision,
            step=step,
        )
        kept = self.quarantine.add(entry)
        if kept == entry:
            self.note("artifact.quarantined", entry.digest, {**entry.to_json(), "project": self.project})
        return kept

    def check_use(self, records: Mapping[str, StepRecord], source: Subject, *, final: bool = False) -> None:
        """Lets a step use what these records name, or says which statement stands in the way.

        Args:
            records: step name -> record.
            source: the revision of the source.
            final: a ``finally`` step; it reports on what happened and is let through.

        Raises:
            QuarantinedError: set aside earlier, or now since a statement does not hold.
        """
        if final:
            return
        for name, record in records.items():
            for subject in record.subjects:
                self._refuse_quarantined(name, subject)
                self._check_bytes(name, record, subject)
            self._check_claims(name, record, source)

    def check_contract(
        self, contract: Contract, records: Mapping[str, StepRecord], gates: Mapping[str, StepRecord], source: Subject
    ) -> None:
        """Raises QuarantinedError unless all evidence the contract requires is there and holds.

        What gates have let through is what counts; without a gate, everything that was delivered.
        """
        allowed = {digest_of(one) for gate in gates.values() for claim in gate.claims for one in claim.subjects}
        for name, record in records.items():
            for subject in record.subjects:
                if gates and digest_of(subject) not in allowed:
                    continue
                for type_ in contract.of("artifact"):
                    self._require(name, record, subject, type_)
        anyone = next(iter(records.items()))
        for type_ in contract.of("source"):
            self._require(anyone[0], anyone[1], source, type_)

    def status(self, type_: str, subject: Subject, revision: str) -> EvidenceStatus:
        """The newest statement of this type about ``subject`` at ``revision``, verified."""
        return self.verifier.status(type_, digest_of(subject), revision)

    def _require(self, name: str, record: StepRecord, subject: Subject, type_: str) -> None:
        status = self.status(type_, subject, record.revision)
        if status.state == "rejected":
            self._reject(name, record, subject, status)
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
        digest = digest_of(subject)
        try:
            found = self.quarantine.of(digest)
        except MaestroError as error:
            found = Quarantined(digest, subject.name, error.what, "maestro", self.now().isoformat())
        if found is not None:
            raise _quarantined(name, found)

    def _check_bytes(self, name: str, record: StepRecord, subject: Subject) -> None:
        """The bytes a subject says it is are those the record names."""
        output = next((one for one in record.outputs if one.name == subject.output), None)
        is_archive = output is not None and "image.layout" in output.media_type
        if output is None or is_archive or subject.digest.get("sha256") == output.sha256:
            return
        entry = self.set_aside(
            subject,
            f"step '{name}' says it is sha256:{output.sha256}, its evidence is about {digest_of(subject)}",
            revision=record.revision,
            step=name,
        )
        raise _quarantined(name, entry)

    def _check_claims(self, name: str, record: StepRecord, source: Subject) -> None:
        for position, claim in enumerate(record.claims):
            for subject in claim.subjects or (source,):
                if position >= len(record.evidence):
                    status = EvidenceStatus(
                        claim.type, digest_of(subject), "rejected", "it was never signed", "unsigned"
                    )
                else:
                    status = self.verifier.check(
                        record.evidence[position], claim.type, digest_of(subject), record.revision
                    )
                if status.state != "verified":
                    self._reject(name, record, subject, status)

    def _reject(self, name: str, record: StepRecord, subject: Subject, status: EvidenceStatus) -> None:
        bundle = f" sha256:{status.bundle}" if status.bundle else ""
        reason = f"its {status.type} statement{bundle} does not verify: {status.reason} ({status.code})"
        raise _quarantined(name, self.set_aside(subject, reason, revision=record.revision, step=name))


def _quarantined(step: str, entry: Quarantined) -> QuarantinedError:
    return QuarantinedError(
        f"{entry.name} ({entry.digest}) of step '{step}' is in quarantine: {entry.reason}",
        digest=entry.digest,
        step=step,
        reason=entry.reason,
        next_step=f"find out why; then make it again, or `maestro evidence quarantine {entry.digest} --release "
        "--reason TEXT`",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
