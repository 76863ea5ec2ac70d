"""Whether evidence is there and holds: signature and key, what it is about, and that it is of this revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from maestro.artifacts import Artifact, ArtifactMissingError, ArtifactStore, CorruptArtifactError, RecordError
from maestro.errors import MaestroError
from maestro.evidence.index import Entry, EvidenceIndex
from maestro.evidence.logged import Logged
from maestro.evidence.types import evidence_type

if TYPE_CHECKING:
    from maestro.signing import Origin, Statement, TrustRoot, Verified

State: TypeAlias = Literal["verified", "missing", "rejected"]
_LATEST = datetime.max.replace(tzinfo=UTC)


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
        entry: of the index; believed only when the state is ``verified``.
        verified: the statement, when it holds.
        origin: of which step and run it is, when it holds.
    """

    type: str
    subject: str
    state: State
    reason: str | None = None
    code: str | None = None
    bundle: str | None = None
    entry: Entry | None = None
    verified: Verified | None = None
    origin: Origin | None = None

    def age_hours(self, now: datetime) -> float | None:
        """Hours since it was signed, as the statement itself says."""
        return None if self.origin is None else max(0.0, (now - self.origin.signed_at).total_seconds() / 3600)

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
            "predicate_type": None if self.verified is None else self.verified.statement.predicate_type,
        }


class EvidenceVerifier:
    """Verifies the statements of one project's revisions. Results are remembered; make a new one for each run.

    Args:
        trust: whose signatures count; asked when there is something to verify.
        logged: the statements the audit log says were signed for a revision, so that none can be taken away unseen.
    """

    def __init__(
        self,
        store: ArtifactStore,
        index: EvidenceIndex,
        trust: Callable[[], TrustRoot],
        project: str,
        logged: Callable[[str], Iterable[Logged]] = lambda _revision: (),
    ) -> None:
        self._store = store
        self._index = index
        self._trust = trust
        self._project = project
        self._logged = logged
        self._opened: dict[str, Verified | tuple[str, str]] = {}

    def status(self, type_: str, subject: str, revision: str, entries: Iterable[Entry] | None = None) -> EvidenceStatus:
        """The newest statement of this type about ``subject``, when those of all steps hold; else one that does not."""
        found = self.statuses(type_, subject, revision, entries)
        return next((one for one in found if one.state != "verified"), found[-1])

    def statuses(
        self,
        type_: str,
        subject: str,
        revision: str,
        entries: Iterable[Entry] | None = None,
        logged: Iterable[Logged] | None = None,
    ) -> list[EvidenceStatus]:
        """The newest statement of each step of this type about ``subject`` at ``revision``, verified; oldest first.

        What several steps say all counts, so that a later one cannot hide what an earlier one has found.

        Args:
            type_: evidence type.
            subject: ``<algorithm>:<hex>``.
            revision: the statements must be of it.
            entries, logged: of the revision, when they are at hand; each is read for every question otherwise.

        Returns:
            At least one; the one that says ``missing`` when there is none.
        """
        try:
            entries = list(self._index.of_revision(self._project, revision) if entries is None else entries)
        except RecordError as error:
            return [EvidenceStatus(type_, subject, "rejected", error.what, "index_damaged")]
        about = [one for one in entries if one.type == type_ and subject in one.subjects]
        newest: dict[str, EvidenceStatus] = {}
        for entry in about:
            status = replace(self.check_entry(entry), subject=subject)
            step = status.origin.step if status.origin else entry.step
            if step not in newest or _when(newest[step]) <= _when(status):
                newest[step] = status
        signed = self._logged(revision) if logged is None else logged
        for one in self._withheld(type_, subject, signed, {entry.bundle.sha256 for entry in about}):
            newest[f"withheld {one.bundle}"] = one
        found = sorted(newest.values(), key=_when)
        missing = EvidenceStatus(type_, subject, "missing", f"there is no {type_} statement about {subject}", "missing")
        return found or [missing]

    def _withheld(
        self, type_: str, subject: str, logged: Iterable[Logged], known: set[str]
    ) -> Iterable[EvidenceStatus]:
        """Statements that were signed last by a step, and are not in the index."""
        last = {one.step: one for one in logged if one.type == type_ and subject in one.subjects}
        for one in last.values():
            if one.bundle not in known:
                yield EvidenceStatus(
                    type_,
                    subject,
                    "rejected",
                    f"the {type_} statement sha256:{one.bundle} of step '{one.step}', which was signed (row {one.row} "
                    "of the audit log), is not in the index",
                    "withheld",
                    one.bundle,
                )

    def check_entry(self, entry: Entry) -> EvidenceStatus:
        """Whether the statement ``entry`` names holds, about everything the entry says it is about and nothing else."""
        first = entry.subjects[0]
        for subject in entry.subjects:
            status = self.check(entry.bundle, entry.type, subject, entry.revision, entry)
            if status.verified is None:
                return status
        assert status.verified is not None
        assert status.origin is not None
        lie = _contradiction(entry, status.verified, status.origin)
        if lie:
            reason = f"the index is not true to its statement: {lie}"
            return EvidenceStatus(entry.type, first, "rejected", reason, "index_mismatch", entry.bundle.sha256, entry)
        return replace(status, subject=first)

    def check(
        self, bundle: Artifact, type_: str, subject: str, revision: str, entry: Entry | None = None
    ) -> EvidenceStatus:
        """Whether ``bundle`` is a statement of this type about ``subject`` at ``revision``.

        Raises:
            MaestroError: the store does not answer, or the trust file cannot be used: then nothing is known of it.
        """
        from maestro.signing import VerificationError

        def rejected(code: str, reason: str) -> EvidenceStatus:
            return EvidenceStatus(type_, subject, "rejected", reason, code, bundle.sha256, entry)

        opened = self.open(bundle)
        if isinstance(opened, tuple):
            return rejected(*opened)
        try:
            origin = check_about(opened, type_=type_, subject=subject, project=self._project, revision=revision)
        except VerificationError as error:
            return rejected(error.code, error.what)
        except MaestroError as error:
            return rejected("malformed", error.what)
        return EvidenceStatus(type_, subject, "verified", None, None, bundle.sha256, entry, opened, origin)

    def open(self, bundle: Artifact) -> Verified | tuple[str, str]:
        """The statement in ``bundle``, signed by a trusted key; else code and reason. What it is about is not checked.

        Raises:
            MaestroError: the store does not answer, or the trust file cannot be used.
        """
        from maestro.signing import VerificationError, verify_bundle

        known = self._opened.get(bundle.sha256)
        if known is not None:
            return known
        trust = self._trust()
        found: Verified | tuple[str, str]
        try:
            found = verify_bundle(self._store.get_bytes(bundle.sha256), trust)
        except (ArtifactMissingError, CorruptArtifactError) as error:
            found = ("unreadable", f"its statement cannot be read: {error.what}")
        except VerificationError as error:
            found = (error.code, error.what)
        self._opened[bundle.sha256] = found
        return found


def check_about(verified: Verified, *, type_: str, subject: str, project: str, revision: str) -> Origin:
    """Of which step the statement is, when it is of this type, about this subject, and for this revision.

    Raises:
        VerificationError: it is not.
    """
    from maestro.signing import VerificationError, check_revision, check_subject

    statement = verified.statement
    if statement.predicate_type not in evidence_type(type_).predicate_types:
        raise VerificationError(
            f"the statement has predicate type {statement.predicate_type}, which is no {type_} evidence",
            code="predicate_mismatch",
        )
    algorithm, _, value = subject.partition(":")
    check_subject(statement, {algorithm: value})
    check_revision(statement, project=project, revision=revision)
    origin = origin_of(statement)
    if origin.type != type_:
        raise VerificationError(
            f"the statement was made as {origin.type or 'no known'} evidence, not as {type_}", code="predicate_mismatch"
        )
    return origin


def origin_of(statement: Statement) -> Origin:
    """Of which revision, run and step the statement is; all of its subjects must say the same.

    Raises:
        VerificationError: they do not, or a part is missing.
    """
    from maestro.signing import Origin, VerificationError

    said = [Origin.of(one.annotations) for one in statement.subjects]
    origin = said[0]
    if origin is None or any(one != origin for one in said):
        raise VerificationError(
            "the subjects of the statement do not say, or disagree on, which revision, run and step it is of",
            code="revision_mismatch",
        )
    return origin


def subjects_of(statement: Statement) -> tuple[str, ...]:
    """``<algorithm>:<hex>`` of everything the statement is about: by sha256 where there is one."""
    return tuple(digest_name(one.digest) for one in statement.subjects)


def digest_name(digest: Mapping[str, str]) -> str:
    """``<algorithm>:<hex>``: the sha256 when there is one."""
    algorithm = "sha256" if "sha256" in digest else min(digest)
    return f"{algorithm}:{digest[algorithm]}"


def named_digests(verified: Verified, origin: Origin) -> set[str]:
    """``sha256:<hex>`` of the documents a statement vouches for: its report, and what it refers to."""
    from maestro.evidence.types import REFERENCE

    found = {origin.report} if origin.report else set()
    if verified.statement.predicate_type == REFERENCE:
        references = verified.statement.predicate.get("references")
        for one in references if isinstance(references, list) else []:
            digest = one.get("digest") if isinstance(one, dict) else None
            if isinstance(digest, dict) and isinstance(digest.get("sha256"), str):
                found.add(f"sha256:{digest['sha256']}")
    return found


def _when(status: EvidenceStatus) -> datetime:
    """When it was signed; what does not hold may claim any time, and counts as late as it says, or as the latest."""
    from maestro.signing.origin import read_time

    if status.origin is not None:
        return status.origin.signed_at
    claimed = read_time(status.entry.signed_at) if status.entry is not None else None
    return claimed or _LATEST


def _contradiction(entry: Entry, verified: Verified, origin: Origin) -> str | None:
    """What the index says otherwise than the statement."""
    from maestro.signing.origin import SIGNED_AT

    statement = verified.statement
    pairs: list[tuple[str, object, object]] = [
        ("subjects", sorted(entry.subjects), sorted(subjects_of(statement))),
        ("predicate type", entry.predicate_type, statement.predicate_type),
        ("step", entry.step, origin.step),
        ("run", entry.run_id, origin.run),
        ("key", entry.keyid, verified.signer.keyid),
        ("time", entry.signed_at, statement.subjects[0].annotations[SIGNED_AT]),
        ("named documents", {f"sha256:{one.sha256}" for one in entry.names}, named_digests(verified, origin)),
    ]
    wrong = next((pair for pair in pairs if pair[1] != pair[2]), None)
    return None if wrong is None else f"its {wrong[0]} is {str(wrong[1])[:200]}, and signed is {str(wrong[2])[:200]}"
