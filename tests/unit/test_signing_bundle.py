"""A Sigstore bundle is read in one way, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from maestro.signing import BUNDLE_MEDIA_TYPE, VerificationError, parse_bundle, pre_authentication_encoding
from maestro.signing.bundle import MAX_BUNDLE_BYTES
from tests.unit.signing_statements import base64_of, encoded, signed, statement

GOOD = signed()


def refusal(data: bytes) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        parse_bundle(data)
    assert caught.value.next_step
    return caught.value


def test_a_bundle_is_of_the_form_sigstores_specification_gives() -> None:
    assert GOOD.document == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": GOOD.signer.public_key.hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64_of(statement()),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": base64_of(parse_bundle(GOOD.bundle).signature), "keyid": ""}],
        },
    }


def test_a_bundle_read_and_written_again_is_the_same() -> None:
    assert parse_bundle(GOOD.bundle).to_json() == GOOD.bundle


def test_the_encoding_that_is_signed_is_the_one_of_the_dsse_specification() -> None:
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_keyid_may_be_empty_as_in_bundles_of_cosign() -> None:
    document = GOOD.document
    document["dsseEnvelope"]["signatures"][0]["keyid"] = ""
    assert parse_bundle(encoded(document)).keyid == GOOD.signer.keyid


def test_entries_of_a_transparency_log_are_passed_over() -> None:
    document = GOOD.document
    document["verificationMaterial"]["tlogEntries"] = [{"logIndex": "1"}]
    document["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": []}
    assert parse_bundle(encoded(document)).payload == statement()


def _with(*path: Any, to: Any) -> bytes:
    document: Any = GOOD.document
    holder = document
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = to
    return encoded(document)


def _without(*path: Any) -> bytes:
    document: Any = GOOD.document
    holder = document
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]
    return encoded(document)


ENVELOPE = GOOD.document["dsseEnvelope"]
MESSAGE = {"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": "AAAA"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_with("messageSignature", to=MESSAGE), "two contents, a dsseEnvelope and a messageSignature"),
        (_with("messageSignature", to=None), "two contents"),
        (GOOD.bundle.replace(b'"payload":', b'"payload":"e30=","payload":', 1), "'payload' is there twice"),
        (GOOD.bundle.replace(b'"payload":', b'"payl\\u006fad":"e30=","payload":', 1), "'payload' is there twice"),
        (
            GOOD.bundle[:-1] + b',"dsseEnvelope":' + json.dumps(ENVELOPE).encode() + b"}",
            "'dsseEnvelope' is there twice",
        ),
        (_with("dsseEnvelope", "signatures", to=ENVELOPE["signatures"] * 2), "2 signatures instead of one"),
        (_with("verificationMaterial", "certificate", to={"rawBytes": "AAAA"}), "names its signer in two ways"),
    ],
)
def test_a_bundle_that_can_be_read_in_two_ways_is_refused(data: bytes, says: str) -> None:
    error = refusal(data)
    assert error.code == "two_payloads"
    assert says in error.what


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_with("dsse_envelope", to=ENVELOPE), "unknown field 'dsse_envelope'"),
        (_with("dsseEnvelope", "payload_type", to="x"), "unknown field 'payload_type'"),
        (_with("dsseEnvelope", to=[ENVELOPE]), "dsseEnvelope is not a JSON object"),
        (_with("dsseEnvelope", "signatures", to=[]), "no signature"),
        (_with("dsseEnvelope", "signatures", to={}), "no signature"),
        (_with("dsseEnvelope", "signatures", to=["x"]), "signatures is not a JSON object"),
        (_with("dsseEnvelope", "signatures", 0, "keyid", to="f" * 64), "name different keys"),
        (_with("dsseEnvelope", "signatures", 0, "keyid", to=None), "name different keys"),
        (_without("dsseEnvelope", "signatures", 0, "sig"), "sig is missing or not text"),
        (_without("dsseEnvelope", "payload"), "payload is missing or not text"),
        (_with("dsseEnvelope", "payload", to=7), "payload is missing or not text"),
        (_with("dsseEnvelope", "payload", to="{}"), "payload is not base64"),
        (_with("dsseEnvelope", "payload", to="e31="), "payload is not canonical base64"),
        (_with("dsseEnvelope", "payload", to="e30"), "payload is not base64"),
        (_with("dsseEnvelope", "payload", to="e\u00e9=="), "payload is not base64"),
        (_without("verificationMaterial"), "verificationMaterial is not a JSON object"),
        (b"", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b'\xef\xbb\xbf{"a":1}', "it is not JSON"),
        (GOOD.bundle + b"{}", "it is not JSON: Extra data"),
        (b"[" * 5000, "nested deeper than 100 levels"),
        (b"[" * 200 + b"]" * 200, "nested deeper than 100 levels"),
        (b'{"a":NaN}', "NaN is no number of JSON"),
        (b'{"a":1e999}', "the number 1e999 is too large"),
        (b"1" * 5000, "a number with thousands of digits"),
        (b'{"a":"\\ud800"}', "it is not UTF-8"),
        (b"[" + b"{}," * 20_000 + b"{}]", "more parts than any bundle"),
    ],
)
def test_a_bundle_that_cannot_be_read_is_refused(data: bytes, says: str) -> None:
    error = refusal(data)
    assert error.code == "malformed"
    assert says in error.what


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_with("mediaType", to="application/vnd.dev.sigstore.bundle+json;version=0.2"), "version=0.2"),
        (_without("mediaType"), "its mediaType is 'None'"),
        (_without("dsseEnvelope"), "no dsseEnvelope"),
        (_with("dsseEnvelope", "payloadType", to="application/vnd.in-toto.provenance+json"), "provenance+json"),
        (encoded({"mediaType": BUNDLE_MEDIA_TYPE, "messageSignature": MESSAGE}), "no dsseEnvelope"),
    ],
)
def test_something_else_than_a_statement_in_a_bundle_is_refused(data: bytes, says: str) -> None:
    error = refusal(data)
    assert error.code == "wrong_type"
    assert says in error.what


@pytest.mark.parametrize(
    ("material", "says"),
    [
        ({"certificate": {"rawBytes": "AAAA"}}, "not signed with a managed key"),
        ({}, "not signed with a managed key"),
        ({"publicKey": {}}, "does not say which key"),
        ({"publicKey": {"hint": ""}}, "does not say which key"),
        ({"publicKey": {"hint": "AAAA"}}, "not the sha256 of a public key"),
    ],
)
def test_a_bundle_that_names_no_key_is_refused(material: dict[str, Any], says: str) -> None:
    error = refusal(_with("verificationMaterial", to=material))
    assert error.code == "unknown_key"
    assert says in error.what


def test_a_bundle_over_the_limit_is_refused_before_it_is_read() -> None:
    error = refusal(b" " * (MAX_BUNDLE_BYTES + 1))
    assert error.code == "malformed"
    assert "at most" in error.what
