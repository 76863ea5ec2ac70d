"""Whether evidence is there and holds: signature and key, what it is about, and that it is of this revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from maestro.artifacts import Artifact, ArtifactStore, RecordError
from maestro.errors import MaestroError
from maestro.evidence.index import Entry, EvidenceIndex
from maestro.evidence.types import evidence_type

if TYPE_CHECKING:
    from maestro.signing import Origin, TrustRoot, Verified

State: TypeAlias = Literal["verified", "missing", "rejected"]


@dataclass(frozen=True, slots=True)
class EvidenceStatus:
    """What is known of one type of evidence about one subject.

    Args:
        type: evidence type.
        subject: ``<algorithm>:<hex>``.
        state: ``verified``; ``missing`` when there is no statement; ``rejected`` when there is one that does not hold.
        reason: why it is not verified; None when it is.
        code: stable name of the reason.
        bundle: sha256 of the statement's bundle.
        entry: of the index.
        verified: the statement, when it holds.
    """

    type: str
    subject: str
    state: State
    reason: str | None = None
    code: str | None = None
    bundle: str | None = None
    entry: Entry | None = None
    verified: Verified | None = None

    def age_hours(self, now: datetime) -> float | None:
        """Hours since it was signed, as the statement itself says."""
        if self.verified is None:
            return None
        signed_at = self.verified.statement.signed_at
        return None if signed_at is None else max(0.0, (now - signed_at).total_seconds() / 3600)

    def to_input(self, now: datetime) -> dict[str, Any]:
        """As policies see it."""
        signer = None
        if self.verified is not None:
            key = self.verified.signer
            signer = {"keyid": key.keyid, "name": key.name, "development": key.development}
        return {
            "state": self.state,
            "reason": self.reason,
            "signer": signer,
            "age_hours": self.age_hours(now),
            "bundle": None if self.bundle is None else f"sha256:{self.bundle}",
            "predicate_type": None if self.entry is None else self.entry.predicate_type,
        }


class EvidenceVerifier:
    """Verifies the statements of one project's revisions. Results are remembered; make a new one for each run.

    Args:
        trust: whose signatures count; asked when there is something to verify.
    """

    def __init__(
        self, store: ArtifactStore, index: EvidenceIndex, trust: Callable[[], TrustRoot], project: str
    ) -> None:
        self._store = store
        self._index = index
        self._trust = trust
        self._project = project
        self._known: dict[tuple[str, str, str, str], EvidenceStatus] = {}

    def status(self, type_: str, subject: str, revision: str, entries: Iterable[Entry] | None = None) -> EvidenceStatus:
        """The newest statement of this type about ``subject`` at ``revision``, verified.

        Args:
            type_: evidence type.
            subject: ``<algorithm>:<hex>``.
            revision: the statement must be of it.
            entries: of the revision, when they are at hand.
        """
        if entries is None:
            try:
                entries = self._index.of_revision(self._project, revision)
            except RecordError as error:
                return EvidenceStatus(type_, subject, "rejected", error.what, "index_damaged")
        found = [one for one in entries if one.type == type_ and subject in one.subjects]
        if not found:
            return EvidenceStatus(
                type_, subject, "missing", f"there is no {type_} statement about {subject}", "missing"
            )
        return self.check(found[-1].bundle, type_, subject, revision, found[-1])

    def check(
        self, bundle: Artifact, type_: str, subject: str, revision: str, entry: Entry | None = None
    ) -> EvidenceStatus:
        """Whether ``bundle`` is a statement of this type about ``subject`` at ``revision``."""
        place = (bundle.sha256, type_, subject, revision)
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = self._check(bundle, type_, subject, revision, entry)
        return known

    def _check(self, bundle: Artifact, type_: str, subject: str, revision: str, entry: Entry | None) -> EvidenceStatus:
        from maestro.signing import VerificationError, verify_bundle

        def rejected(code: str, reason: str) -> EvidenceStatus:
            return EvidenceStatus(type_, subject, "rejected", reason, code, bundle.sha256, entry)

        try:
            data = self._store.get_bytes(bundle.sha256)
        except MaestroError as error:
            return rejected("unreadable", f"its statement cannot be read: {error.what}")
        try:
            verified = verify_bundle(data, self._trust())
            check_about(verified, type_=type_, subject=subject, project=self._project, revision=revision)
        except VerificationError as error:
            return rejected(error.code, error.what)
        except MaestroError as error:
            return rejected("malformed", error.what)
        return EvidenceStatus(type_, subject, "verified", None, None, bundle.sha256, entry, verified)


def check_about(verified: Verified, *, type_: str, subject: str, project: str, revision: str) -> None:
    """Raises VerificationError unless the statement is of this type, about this subject, for this revision."""
    from maestro.signing import Origin, VerificationError

    statement = verified.statement
    if statement.predicate_type not in evidence_type(type_).predicate_types:
        raise VerificationError(
            f"the statement has predicate type {statement.predicate_type}, which is no {type_} evidence",
            code="predicate_mismatch",
        )
    algorithm, _, value = subject.partition(":")
    about = [one for one in statement.subjects if one.digest.get(algorithm) == value]
    if not about:
        named = ", ".join(f"{key}:{digest}" for one in statement.subjects for key, digest in one.digest.items())
        raise VerificationError(f"the statement is about {named[:500]}, not about {subject}", code="subject_mismatch")
    origin = Origin.of(about[0].annotations)
    if origin is None or (origin.project, origin.revision) != (project, revision):
        said = "nobody knows which revision" if origin is None else f"revision {origin.revision} of {origin.project}"
        raise VerificationError(
            f"the statement was made for {said}, not for revision {revision} of {project}", code="revision_mismatch"
        )
    if origin.type != type_:
        raise VerificationError(
            f"the statement was made as {origin.type or 'no known'} evidence, not as {type_}", code="predicate_mismatch"
        )


def origin_of(verified: Verified) -> Origin | None:
    """Which revision, run and step the statement is of."""
    from maestro.signing import Origin

    return Origin.of(verified.statement.subjects[0].annotations)
