"""Verification: who said it, whether it is unchanged, and whether it is about what it is used for. Fails closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from maestro.signing.bundle import Bundle, parse_bundle
from maestro.signing.errors import RefusalCode, VerificationError
from maestro.signing.origin import PROJECT, REVISION, RUN, STEP
from maestro.signing.statement import ResourceDescriptor, Statement, parse_statement
from maestro.signing.trust import CLOCK_SKEW, TrustedKey, TrustRoot

_STRONG = frozenset({"sha256", "sha384", "sha512", "gitCommit", "gitTree"})


@dataclass(frozen=True, slots=True)
class Verified:
    """A statement whose signature a trusted key made.

    Args:
        payload: the signed bytes it was read from.
    """

    statement: Statement
    signer: TrustedKey
    payload: bytes


def verify_bundle(bundle: bytes, trust: TrustRoot, *, at: datetime | None = None) -> Verified:
    """The statement in ``bundle`` and who signed it.

    Args:
        bundle: Sigstore bundle v0.3, JSON.
        at: when it is known to have been there, from a source that cannot be backdated such as the audit log; now if
            nothing is known. The key must have been valid then.

    Raises:
        VerificationError: in every other case; its ``code`` says why.
    """
    at = datetime.now(UTC) if at is None else at
    read = parse_bundle(bundle)
    key = _trusted(read, trust)
    if not key.key.verify(read.signature, read.signed_bytes):
        raise VerificationError(
            f"the signature is not of the key '{key.name}' over this payload: one of both was changed, or another key "
            "signed",
            code="signature_invalid",
            next_step="make the evidence again; find out who could write where it is kept",
        )
    statement = parse_statement(read.payload)
    _refuse_untimely(key, statement.signed_at, at)
    return Verified(statement, key, read.payload)


def check_subject(statement: Statement, digest: Mapping[str, str]) -> ResourceDescriptor:
    """The subject with this digest.

    Args:
        digest: algorithm -> hexadecimal digits. All that both sides have must be equal, a strong one among them.

    Raises:
        VerificationError: ``subject_mismatch``; it is about something else.
    """
    for subject in statement.subjects:
        shared = digest.keys() & subject.digest.keys()
        if shared & _STRONG and all(subject.digest[name] == digest[name] for name in shared):
            return subject
    about = ", ".join(f"{name}:{value[:12]}" for one in statement.subjects[:3] for name, value in one.digest.items())
    wanted = ", ".join(f"{name}:{value[:12]}" for name, value in digest.items())
    raise VerificationError(
        f"the statement is about {about}, not about {wanted}",
        code="subject_mismatch",
        next_step="use the evidence of this very artifact, or make it",
    )


def check_predicate(statement: Statement, predicate_type: str) -> None:
    """Raise VerificationError, ``predicate_mismatch``, when the statement is of another predicate type."""
    if statement.predicate_type != predicate_type:
        raise VerificationError(
            f"the statement is a {statement.predicate_type[:200]!r}, not a {predicate_type!r}",
            code="predicate_mismatch",
            next_step="use the evidence of this type, or make it",
        )


def check_revision(
    statement: Statement, *, project: str, revision: str, run: str | None = None, step: str | None = None
) -> None:
    """Whether the statement was made for this revision, by what all of its subjects carry.

    Args:
        run, step: of which run and step it must be; None: of any.

    Raises:
        VerificationError: ``revision_mismatch``; it does not say so, or is replayed from elsewhere.
    """
    wanted = {PROJECT: project, REVISION: revision, RUN: run, STEP: step}
    for subject in statement.subjects:
        for name, value in wanted.items():
            said = subject.annotations.get(name)
            if value is not None and said != value:
                word = name.removeprefix("maestro.")
                origin = f"of {word} {str(said)[:80]!r}" if said is not None else f"silent about its {word}"
                raise VerificationError(
                    f"the statement is {origin}, not of {value!r}",
                    code="revision_mismatch",
                    next_step="make the evidence for this revision; that of another one does not count",
                )


def _trusted(bundle: Bundle, trust: TrustRoot) -> TrustedKey:
    key = trust.by_keyid(bundle.keyid)
    if key is None:
        raise VerificationError(
            f"the key {bundle.keyid[:16]}… is not trusted here",
            code="unknown_key",
            next_step="if it is yours, trust it with `maestro keys import`; otherwise make the evidence again",
        )
    if key.revoked_at is not None:
        raise VerificationError(
            f"the key '{key.name}' was revoked: {key.revoked_reason}",
            code="revoked_key",
            next_step="make the evidence again with another key",
        )
    return key


def _refuse_untimely(key: TrustedKey, signed_at: datetime | None, at: datetime) -> None:
    """A claimed time only ever narrows what is accepted: who has the key can claim any."""

    def refuse(code: RefusalCode, what: str) -> VerificationError:
        return VerificationError(what, code=code, next_step="make the evidence again with a key that is valid now")

    name = f"the key '{key.name}'"
    claimed = at if signed_at is None else signed_at
    if claimed > at + CLOCK_SKEW:
        raise VerificationError(
            f"the statement says it was signed at {claimed:%Y-%m-%d %H:%M:%S} UTC, which is later than now",
            code="signed_in_future",
            next_step="correct the clock of the signer or of this machine",
        )
    for moment in (at, claimed):
        if moment < key.valid_from - CLOCK_SKEW:
            raise refuse("not_yet_valid_key", f"{name} is valid from {key.valid_from:%Y-%m-%d %H:%M:%S} UTC only")
        if key.valid_until is not None and moment >= key.valid_until:
            raise refuse("expired_key", f"{name} expired at {key.valid_until:%Y-%m-%d %H:%M:%S} UTC")
    if key.retired_at is not None and claimed > key.retired_at:
        raise refuse(
            "retired_key",
            f"{name} was retired at {key.retired_at:%Y-%m-%d %H:%M:%S} UTC, and the statement "
            f"{'does not say when it was signed' if signed_at is None else 'was signed after that'}",
        )
