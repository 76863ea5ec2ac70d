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

from maestro.artifacts import (
    ArtifactStore,
    StepRecord,
    Subject,
)
from maestro.errors import InputError
from maestro.evidence.config import EvidenceConfig, PolicyConfig
from maestro.evidence.index import Entry, EvidenceIndex
from maestro.evidence.issue import IssueContext, Issuer, digest_of
from maestro.evidence.logged import RELEASED, SET_ASIDE, SIGNED, Logged, signings
from maestro.evidence.quarantine import Quarantine, Quarantined
from maestro.evidence.verify import EvidenceStatus, EvidenceVerifier

if TYPE_CHECKING:
    from maestro.audit import AuditLog
    from maestro.evidence.use import EvidenceUse
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
        self.actor = self.actor or actor_of(self.environ)
        self.index = EvidenceIndex(self.store)
        self.quarantine = Quarantine(self.store, self._set_aside_last)
        self._opening = threading.RLock()
        self._noted = False
        self._issuer = Issuer(
            self.store,
            self.index,
            signer=lambda: self.signer,
            audit=lambda: self.audit,
            vault=lambda: self.vault,
            status=lambda entry: self.verifier.check_entry(entry),
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
        return EvidenceVerifier(self.store, self.index, lambda: self.trust, self.project, self.logged)

    def logged(self, revision: str) -> list[Logged]:
        """What the audit log says was signed for ``revision``, oldest first."""
        from maestro.audit.reader import Filter

        return list(signings(self.audit.entries(chosen=Filter(kind=SIGNED, object=revision)), self.project))

    def _set_aside_last(self, digest: str) -> Quarantined | None:
        """What the audit log says last of ``digest``, when that is that it was set aside here."""
        from maestro.audit.reader import Filter

        last = None
        for entry in self.audit.entries(chosen=Filter(kind="artifact.", object=digest)):
            if entry.data.get("project") == self.project and entry.kind in (SET_ASIDE, RELEASED):
                last = entry
        if last is None or last.kind == RELEASED:
            return None
        data = {name: last.data.get(name) for name in Quarantined.__slots__}
        try:
            return Quarantined.from_json(data)
        except TypeError:
            return Quarantined(digest, digest, f"row {last.index} of the audit log", last.actor, last.at.isoformat())

    @cached_property
    def engine(self) -> PolicyEngine:
        """What evaluates policy."""
        from maestro.evidence.policies import open_policy

        with self._opening:
            return open_policy(self.policy, lambda: self.trust)

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
        status = self.verifier.check_entry(entry)
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

    def set_aside(
        self, subject: Subject, reason: str, *, revision: str | None, step: str | None, by: str = "maestro"
    ) -> Quarantined:
        """Puts ``subject`` into quarantine, audited; what is there already keeps its first reason and is returned.

        Args:
            by: a person's name; ``maestro`` because its evidence does not hold.
        """
        entry = Quarantined(
            digest=digest_of(subject),
            name=subject.name,
            reason=reason,
            by=by,
            at=self.now().isoformat(),
            revision=revision,
            step=step,
        )
        kept = self.quarantine.add(entry)
        if kept == entry or self._set_aside_last(entry.digest) is None:
            self.note(SET_ASIDE, entry.digest, {**kept.to_json(), "project": self.project})
        return kept

    def release(self, digest: str, reason: str) -> Quarantined:
        """Lets ``digest`` be used again; why it was set aside.

        The row of the audit log comes first: a release nobody can read of is none.

        Raises:
            InputError: it is not in quarantine.
        """
        entry = self.quarantine.of(digest)
        if entry is None:
            raise InputError(f"{digest} is not in quarantine", next_step="see what is: maestro evidence quarantine")
        self.note(RELEASED, digest, {"reason": reason, "was": entry.reason, "project": self.project})
        self.quarantine.delete(digest)
        return entry

    def in_quarantine(self) -> list[Quarantined]:
        """All that is set aside, by the store and by the audit log, oldest first."""
        from maestro.audit.reader import Filter

        found = {one.digest: one for one in self.quarantine.all()}
        for entry in self.audit.entries(chosen=Filter(kind=SET_ASIDE)):
            if entry.object not in found and entry.data.get("project") == self.project:
                last = self._set_aside_last(entry.object)
                if last is not None:
                    found[entry.object] = last
        return sorted(found.values(), key=lambda one: (one.at, one.digest))

    @cached_property
    def use(self) -> EvidenceUse:
        """What lets a step use something, or says why not."""
        from maestro.evidence.use import EvidenceUse

        return EvidenceUse(self)

    def status(self, type_: str, subject: Subject, revision: str) -> EvidenceStatus:
        """The newest statement of this type about ``subject`` at ``revision``, verified."""
        return self.verifier.status(type_, digest_of(subject), revision)


def actor_of(environ: Mapping[str, str]) -> str:
    """Who acts, as the audit log has it: ``MAESTRO_ACTOR``, else the user of the operating system. Nobody proves it."""
    try:
        return environ.get("MAESTRO_ACTOR") or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
