"""in-toto Statement v1: what is said (a predicate) about which bytes (subjects).

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from maestro.artifacts.subject import Subject
from maestro.errors import InputError
from maestro.signing import strict_json
from maestro.signing.errors import VerificationError
from maestro.signing.origin import SIGNED_AT, Origin, read_time

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_STATEMENT_BYTES = 64 * 1024 * 1024

# in_toto_attestation would do for writing, but brings protobuf and accepts what the strict reader here must refuse.

_HEX = re.compile(r"[0-9a-f]{8,128}\Z")
_LENGTHS = {
    "sha1": {40},
    "sha256": {64},
    "sha384": {96},
    "sha512": {128},
    "gitBlob": {40, 64},
    "gitCommit": {40, 64},
    "gitTag": {40, 64},
    "gitTree": {40, 64},
}


def _checked_digests(digest: dict[str, str]) -> dict[str, str]:
    for algorithm, value in digest.items():
        lengths = _LENGTHS.get(algorithm)
        if not algorithm or not _HEX.match(value) or (lengths and len(value) not in lengths):
            raise ValueError(f"{algorithm[:30]!r} has no usable digest: {value[:130]!r}")
    return digest


def _checked_type(text: str) -> str:
    if not text.isprintable() or " " in text or ":" not in text:
        raise ValueError(f"{text[:80]!r} is no URI")
    return text


_TypeUri = Annotated[str, StringConstraints(min_length=3, max_length=500), AfterValidator(_checked_type)]


class ResourceDescriptor(BaseModel):
    """A subject as a statement names it (in-toto ResourceDescriptor v1).

    Args:
        digest: algorithm -> lower-case hexadecimal digits; what counts, the name is for people.
        annotations: what else is said about it; Maestro's own begin with ``maestro.``, see :class:`Origin`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", populate_by_name=True)

    name: str | None = None
    digest: Annotated[dict[str, str], Field(min_length=1), AfterValidator(_checked_digests)]
    uri: str | None = None
    media_type: str | None = Field(default=None, alias="mediaType")
    download_location: str | None = Field(default=None, alias="downloadLocation")
    annotations: dict[str, Any] = Field(default_factory=dict)


class Statement(BaseModel):
    """An in-toto Statement v1. Fields the specification does not know are passed over, as it demands."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", populate_by_name=True)

    subjects: Annotated[tuple[ResourceDescriptor, ...], Field(min_length=1, strict=False)] = Field(alias="subject")
    predicate_type: _TypeUri = Field(alias="predicateType")
    predicate: dict[str, Any] = Field(default_factory=dict)

    @property
    def signed_at(self) -> datetime | None:
        """When it says that it was signed: the annotation its subjects agree on; None when there is none."""
        said = self.subjects[0].annotations.get(SIGNED_AT)
        return read_time(said) if isinstance(said, str) else None


def make_statement(
    subjects: Sequence[Subject], predicate_type: str, predicate: Mapping[str, Any], *, origin: Origin | None = None
) -> bytes:
    """The statement as canonical JSON, ready to be signed.

    Args:
        subjects: at least one.
        predicate_type: URI.
        predicate: JSON object.
        origin: of which project, revision, run and step it is; written on each subject, so that nobody can pass it off
            as being of another.

    Raises:
        InputError: it would be no statement, or larger than 64 MiB.
    """
    annotations = origin.annotations() if origin else None
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [_descriptor(one, annotations) for one in subjects],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
    try:
        Statement.model_validate(document)
        payload = strict_json.canonical(document)
    except ValidationError as error:
        raise InputError(f"this makes no statement: {first_problem(error)}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"the predicate {predicate_type} is not JSON: {str(error)[:200]}") from None
    if len(payload) > MAX_STATEMENT_BYTES:
        raise InputError(
            f"the statement {predicate_type} has {len(payload):,} bytes; at most {MAX_STATEMENT_BYTES:,} are signed",
            next_step="say less in one statement: leave file lists out, or split it",
        )
    return payload


def parse_statement(payload: bytes) -> Statement:
    """The statement in ``payload``.

    Raises:
        VerificationError: ``malformed``, or ``wrong_type`` when it is JSON of another type.
    """
    try:
        document = strict_json.parse(payload, max_bytes=MAX_STATEMENT_BYTES)
    except strict_json.NotStrictJsonError as error:
        raise VerificationError(f"the statement cannot be read: {error}", code="malformed") from None
    if not isinstance(document, dict):
        raise VerificationError("the statement is not a JSON object", code="malformed")
    if document.get("_type") != STATEMENT_TYPE:
        raise VerificationError(
            f"the payload is no in-toto Statement v1: its _type is {str(document.get('_type'))[:100]!r}",
            code="wrong_type",
            next_step=f"use a statement whose _type is {STATEMENT_TYPE}",
        )
    try:
        statement = Statement.model_validate(document)
    except ValidationError as error:
        raise VerificationError(f"the statement cannot be read: {first_problem(error)}", code="malformed") from None
    _refuse_disagreement(statement)
    return statement


def first_problem(error: ValidationError) -> str:
    """Where and what, of the first thing pydantic found, without the value's whole text."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:200]
    return f"{place}: {first['msg'].removeprefix('Value error, ')}" if place else first["msg"]


def _descriptor(subject: Subject, annotations: Mapping[str, str] | None) -> dict[str, Any]:
    made: dict[str, Any] = {"name": subject.name, "digest": dict(subject.digest)}
    if subject.uri is not None:
        made["uri"] = subject.uri
    if subject.media_type is not None:
        made["mediaType"] = subject.media_type
    if annotations:
        made["annotations"] = dict(annotations)
    return made


def _refuse_disagreement(statement: Statement) -> None:
    said = [one.annotations.get(SIGNED_AT) for one in statement.subjects]
    if any(one != said[0] for one in said):
        raise VerificationError("the subjects of the statement disagree on when it was signed", code="malformed")
    if said[0] is not None and (not isinstance(said[0], str) or read_time(said[0]) is None):
        raise VerificationError(f"{SIGNED_AT} is no RFC 3339 time: {str(said[0])[:60]!r}", code="malformed")
