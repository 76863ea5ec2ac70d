"""in-toto statements: equal content has equal bytes, and what is not a statement is refused with the place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.artifacts.subject import Subject
from maestro.errors import InputError
from maestro.signing import (
    MAX_STATEMENT_BYTES,
    STATEMENT_TYPE,
    Origin,
    VerificationError,
    make_statement,
    parse_statement,
)
from tests.unit.signing_statements import DIGEST, NOW, PREDICATE_TYPE, origin, statement

SUBJECT = Subject("app.whl", DIGEST)


def test_a_statement_says_what_about_which_bytes_of_which_revision() -> None:
    image = Subject(
        "localhost:5000/app",
        {"sha256": "cd" * 32},
        uri="docker://localhost:5000/app@sha256:cd",
        media_type="application/vnd.oci.image.manifest.v1+json",
    )
    document = json.loads(make_statement([image], PREDICATE_TYPE, {"passed": True}, origin=origin()))
    assert document == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": "localhost:5000/app",
                "digest": {"sha256": "cd" * 32},
                "uri": "docker://localhost:5000/app@sha256:cd",
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "annotations": {
                    "maestro.project": "shop",
                    "maestro.revision": "1" * 40,
                    "maestro.run": "run-1",
                    "maestro.step": "build/image",
                    "maestro.signed_at": "2026-05-01T12:00:00Z",
                },
            }
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"passed": True},
    }


def test_equal_content_has_equal_bytes() -> None:
    one = make_statement([SUBJECT], PREDICATE_TYPE, {"b": [1, 2], "a": "é"})
    assert one == make_statement([SUBJECT], PREDICATE_TYPE, {"a": "é", "b": [1, 2]})
    assert b" " not in one
    assert "é".encode() in one


def test_a_statement_comes_back_with_its_annotations() -> None:
    read = parse_statement(statement())
    assert read.subjects[0].digest == DIGEST
    assert Origin.of(read.subjects[0].annotations) == origin()
    assert read.signed_at == NOW


def test_the_type_of_evidence_and_its_report_are_kept_too() -> None:
    full = Origin("shop", "rev", "run", "step", NOW, type="sbom", report="sha256:" + "0" * 64)
    read = parse_statement(make_statement([SUBJECT], PREDICATE_TYPE, {}, origin=full))
    assert Origin.of(read.subjects[0].annotations) == full


def test_annotations_that_are_not_all_there_name_no_origin() -> None:
    annotations = origin().annotations()
    assert Origin.of({**annotations, "maestro.run": 7}) is None
    assert Origin.of({**annotations, "maestro.signed_at": "yesterday"}) is None
    assert Origin.of({}) is None


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.integers(-14, 14))
def test_the_time_of_signing_is_kept_to_the_microsecond(at: datetime, hours: int) -> None:
    local = at.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert parse_statement(statement(local)).signed_at == local.astimezone(UTC)


def test_fields_the_specification_does_not_know_are_passed_over() -> None:
    document = json.loads(statement())
    document["later"] = 1
    document["subject"][0]["later"] = 1
    assert parse_statement(json.dumps(document).encode()).predicate == {"passed": True}


def test_a_statement_without_a_predicate_has_an_empty_one() -> None:
    document = json.loads(statement())
    del document["predicate"]
    assert parse_statement(json.dumps(document).encode()).predicate == {}


def _changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(statement()) | changes).encode()


def _subject(**changes: Any) -> bytes:
    return _changed(subject=[json.loads(statement())["subject"][0] | changes])


@pytest.mark.parametrize(
    "type_", [None, "", "https://in-toto.io/Statement/v0.1", "https://in-toto.io/statement/v1", 1, [STATEMENT_TYPE]]
)
def test_json_of_another_type_is_refused(type_: Any) -> None:
    with pytest.raises(VerificationError, match="the payload is no in-toto Statement v1") as caught:
        parse_statement(_changed(_type=type_))
    assert caught.value.code == "wrong_type"


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"{", "not JSON"),
        (b"7", "not a JSON object"),
        (b'{"_type":1,"_type":2}', "the key '_type' is there twice"),
        (statement().replace(b'"passed":true', b'"passed":true,"passed":false'), "the key 'passed' is there twice"),
        (statement().replace(b"true", b"[" * 120 + b"]" * 120), "nested deeper than 100 levels"),
        (statement().replace(b"true", b"[" * 100_000 + b"]" * 100_000), "nested deeper than 100 levels"),
        (statement().replace(b"true", b"Infinity"), "Infinity is no number"),
        (_changed(predicateType=None), "predicateType"),
        (_changed(predicateType=""), "predicateType"),
        (_changed(predicateType="provenance"), "'provenance' is no URI"),
        (_changed(predicateType="a:b\nc"), "is no URI"),
        (_changed(predicate=[1]), "predicate"),
        (_changed(predicate=None), "predicate"),
        (_changed(subject=[]), "subject: "),
        (_changed(subject={}), "subject: "),
        (_changed(subject=None), "subject: "),
        (_changed(subject=["app.whl"]), "subject.0: "),
        (_subject(digest={}), "subject.0.digest: "),
        (_subject(digest=None), "subject.0.digest: "),
        (_subject(digest={"sha256": "AB" * 32}), "'sha256' has no usable digest"),
        (_subject(digest={"sha256": "ab"}), "'sha256' has no usable digest"),
        (_subject(digest={"sha256": "ab" * 20}), "'sha256' has no usable digest"),
        (_subject(digest={"sha256": "ab" * 32 + "\n"}), "'sha256' has no usable digest"),
        (_subject(digest={"sha256": 7}), "subject.0.digest.sha256: "),
        (_subject(name=7), "subject.0.name: "),
        (_subject(annotations=[]), "subject.0.annotations: "),
        (_subject(annotations={"maestro.signed_at": "yesterday"}), "no RFC 3339 time: 'yesterday'"),
        (_subject(annotations={"maestro.signed_at": 7}), "no RFC 3339 time: '7'"),
        (_subject(annotations={"maestro.signed_at": "2026-05-01T12:00:00"}), "no RFC 3339 time"),
        (_subject(annotations={"maestro.signed_at": "2026-13-01T12:00:00Z"}), "no RFC 3339 time"),
        (_subject(annotations={"maestro.signed_at": "0001-01-01T00:00:00+14:00"}), "no RFC 3339 time"),
    ],
)
def test_what_is_no_statement_is_refused_with_the_place(payload: bytes, says: str) -> None:
    with pytest.raises(VerificationError) as caught:
        parse_statement(payload)
    assert caught.value.code == "malformed"
    assert says in caught.value.what
    assert len(caught.value.what) < 500


def test_subjects_that_disagree_on_the_time_are_refused() -> None:
    subject = json.loads(statement())["subject"][0]
    other = subject | {"annotations": {"maestro.signed_at": "2020-01-01T00:00:00Z"}}
    with pytest.raises(VerificationError, match="disagree on when it was signed"):
        parse_statement(_changed(subject=[subject, other]))


def test_a_statement_over_the_limit_is_neither_read_nor_made() -> None:
    with pytest.raises(VerificationError, match="at most 67,108,864"):
        parse_statement(b" " * (MAX_STATEMENT_BYTES + 1))
    with pytest.raises(InputError, match="at most 67,108,864 are signed") as caught:
        make_statement([SUBJECT], PREDICATE_TYPE, {"text": "x" * MAX_STATEMENT_BYTES})
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("subjects", "predicate_type", "predicate", "says"),
    [
        ([], PREDICATE_TYPE, {}, "subject: "),
        ([SUBJECT], "provenance", {}, "'provenance' is no URI"),
        ([Subject("a", {"sha256": "ab" * 10})], PREDICATE_TYPE, {}, "'sha256' has no usable digest"),
        ([SUBJECT], PREDICATE_TYPE, {"a": float("nan")}, "is not JSON"),
        ([SUBJECT], PREDICATE_TYPE, {"a": {1, 2}}, "is not JSON"),
        ([SUBJECT], PREDICATE_TYPE, {"a": "\ud800"}, "is not JSON"),
    ],
)
def test_what_would_be_no_statement_is_not_made(
    subjects: list[Subject], predicate_type: str, predicate: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        make_statement(subjects, predicate_type, predicate)
    assert says in caught.value.what
