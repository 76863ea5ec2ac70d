"""Every way to tamper with a signed statement is refused, with a code that says which one it was."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.signing import (
    VerificationError,
    check_predicate,
    check_revision,
    check_subject,
    parse_bundle,
    sign_statement,
    verify_bundle,
)
from maestro.signing.key_file import new_key
from tests.unit.signing_statements import (
    DIGEST,
    NOW,
    PREDICATE_TYPE,
    base64_of,
    encoded,
    signed,
    statement,
    trusted,
)

GOOD = signed()
OTHER = signed()


def refusal(bundle: bytes, trust: Any = GOOD.trust, at: Any = NOW) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify_bundle(bundle, trust, at=at)
    assert caught.value.next_step
    return caught.value


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    document = GOOD.document
    change(document)
    return encoded(document)


def test_a_signed_statement_is_given_back_with_its_signer() -> None:
    verified = verify_bundle(GOOD.bundle, GOOD.trust, at=NOW)
    assert verified.signer.name == "release"
    assert verified.payload == statement()
    assert verified.statement.predicate == {"passed": True}
    assert verified.statement.signed_at == NOW


def test_the_time_is_now_when_none_is_given() -> None:
    past = signed(statement(NOW), valid_until=NOW + timedelta(days=1))
    assert verify_bundle(past.bundle, past.trust, at=NOW).signer.name == "release"
    with pytest.raises(VerificationError) as caught:
        verify_bundle(past.bundle, past.trust)
    assert caught.value.code == "expired_key"


def test_a_changed_payload_is_refused() -> None:
    payload = statement().replace(b'"passed":true', b'"passed":null')
    error = refusal(changed(lambda d: d["dsseEnvelope"].update(payload=base64_of(payload))))
    assert error.code == "signature_invalid"
    assert "not of the key 'release' over this payload" in error.what


def test_a_changed_subject_digest_is_refused() -> None:
    payload = statement().replace(b"ab" * 32, b"cd" * 32)
    assert refusal(changed(lambda d: d["dsseEnvelope"].update(payload=base64_of(payload)))).code == "signature_invalid"


def test_a_changed_payload_type_is_refused() -> None:
    error = refusal(changed(lambda d: d["dsseEnvelope"].update(payloadType="application/json")))
    assert error.code == "wrong_type"
    assert "'application/json'" in error.what


def test_a_payload_type_that_was_signed_as_another_is_refused() -> None:
    from maestro.signing import PAYLOAD_TYPE, Bundle, pre_authentication_encoding

    signature = GOOD.signer.sign(pre_authentication_encoding("application/json", statement()))
    bundle = Bundle(statement(), PAYLOAD_TYPE, signature, GOOD.signer.keyid)
    assert refusal(bundle.to_json()).code == "signature_invalid"


def test_a_signature_of_another_statement_is_refused() -> None:
    other = json.loads(sign_statement(statement(revision="2" * 40), GOOD.signer))["dsseEnvelope"]["signatures"]
    assert refusal(changed(lambda d: d["dsseEnvelope"].update(signatures=other))).code == "signature_invalid"


def test_a_signature_by_a_key_that_is_not_trusted_is_refused() -> None:
    error = refusal(OTHER.bundle)
    assert error.code == "unknown_key"
    assert OTHER.signer.keyid[:16] in error.what


def test_a_signature_by_another_key_under_a_trusted_keys_name_is_refused() -> None:
    document = OTHER.document
    document["verificationMaterial"]["publicKey"]["hint"] = GOOD.signer.public_key.hint
    document["dsseEnvelope"]["signatures"][0]["keyid"] = GOOD.signer.keyid
    assert refusal(encoded(document)).code == "signature_invalid"


def test_nobody_is_trusted_by_an_empty_trust_root() -> None:
    from maestro.signing import TrustRoot

    assert refusal(GOOD.bundle, TrustRoot()).code == "unknown_key"


def test_a_revoked_key_is_refused_whenever_it_signed() -> None:
    trust = GOOD.trust.revoke("release", reason="stolen", at=NOW + timedelta(days=9))
    error = refusal(GOOD.bundle, trust)
    assert error.code == "revoked_key"
    assert "'release' was revoked: stolen" in error.what


def test_what_a_retired_key_signed_before_still_verifies_and_later_does_not() -> None:
    trust = GOOD.trust.retire("release", at=NOW + timedelta(hours=1))
    later = NOW + timedelta(days=100)
    assert verify_bundle(GOOD.bundle, trust, at=later).signer.retired_at == NOW + timedelta(hours=1)
    after = sign_statement(statement(NOW + timedelta(hours=2)), GOOD.signer)
    error = refusal(after, trust, later)
    assert error.code == "retired_key"
    assert error.what.endswith("the statement was signed after that")


def test_a_retired_keys_statement_that_does_not_say_when_is_refused_unless_the_time_is_known_otherwise() -> None:
    from maestro.artifacts.subject import Subject
    from maestro.signing import make_statement

    silent = sign_statement(make_statement([Subject("app.whl", DIGEST)], PREDICATE_TYPE, {}), GOOD.signer)
    trust = GOOD.trust.retire("release", at=NOW)
    assert refusal(silent, trust, NOW + timedelta(days=1)).code == "retired_key"
    assert verify_bundle(silent, trust, at=NOW - timedelta(days=1)).statement.signed_at is None


def test_an_expired_key_is_refused() -> None:
    one = signed(valid_until=NOW + timedelta(hours=1))
    assert verify_bundle(one.bundle, one.trust, at=NOW)
    error = refusal(one.bundle, one.trust, NOW + timedelta(hours=1))
    assert error.code == "expired_key"
    assert "expired at 2026-05-01 13:00:00 UTC" in error.what


def test_a_statement_that_says_it_was_signed_after_the_key_expired_is_refused() -> None:
    one = signed(statement(NOW + timedelta(minutes=4)), valid_until=NOW + timedelta(minutes=2))
    assert refusal(one.bundle, one.trust, NOW).code == "expired_key"


def test_a_key_that_is_not_valid_yet_is_refused() -> None:
    one = signed(valid_from=NOW + timedelta(hours=1))
    assert refusal(one.bundle, one.trust).code == "not_yet_valid_key"


def test_a_statement_from_before_the_key_is_refused() -> None:
    one = signed(statement(NOW - timedelta(days=40)))
    assert refusal(one.bundle, one.trust).code == "not_yet_valid_key"


def test_a_statement_from_the_future_is_refused() -> None:
    one = signed(statement(NOW + timedelta(hours=1)))
    assert refusal(one.bundle, one.trust).code == "signed_in_future"


def test_clocks_may_differ_by_minutes() -> None:
    one = signed(statement(NOW + timedelta(minutes=4)))
    assert verify_bundle(one.bundle, one.trust, at=NOW)


def test_after_a_rotation_both_keys_verify() -> None:
    trust = GOOD.trust.retire("release", at=NOW).add(trusted(OTHER.signer, name="release-2"))
    assert verify_bundle(GOOD.bundle, trust, at=NOW).signer.name == "release"
    assert verify_bundle(OTHER.bundle, trust, at=NOW).signer.name == "release-2"


def test_a_signed_payload_that_is_no_statement_is_refused() -> None:
    bundle = sign_statement(b'{"_type":"https://in-toto.io/Statement/v0.1"}', GOOD.signer)
    error = refusal(bundle)
    assert error.code == "wrong_type"
    assert "no in-toto Statement v1" in error.what


def test_a_statement_about_something_else_is_told_from_the_right_one() -> None:
    read = verify_bundle(GOOD.bundle, GOOD.trust, at=NOW).statement
    assert check_subject(read, DIGEST).name == "app.whl"
    with pytest.raises(VerificationError, match="about sha256:abababababab, not about sha256:cdcdcdcdcdcd") as caught:
        check_subject(read, {"sha256": "cd" * 32})
    assert caught.value.code == "subject_mismatch"


def test_an_equal_weak_digest_makes_no_subject_the_same() -> None:
    one = signed(statement().replace(b'"digest":{', b'"digest":{"md5":"%s",' % (b"0" * 32)))
    read = verify_bundle(one.bundle, one.trust, at=NOW).statement
    for wanted in ({"md5": "0" * 32}, {"md5": "0" * 32, "sha256": "cd" * 32}, {"sha512": "ab" * 64}, {}):
        with pytest.raises(VerificationError) as caught:
            check_subject(read, wanted)
        assert caught.value.code == "subject_mismatch"


def test_a_statement_of_another_predicate_type_is_refused() -> None:
    read = verify_bundle(GOOD.bundle, GOOD.trust, at=NOW).statement
    check_predicate(read, PREDICATE_TYPE)
    with pytest.raises(VerificationError, match=r"not a 'https://slsa\.dev/provenance/v1'") as caught:
        check_predicate(read, "https://slsa.dev/provenance/v1")
    assert caught.value.code == "predicate_mismatch"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"project": "shop", "revision": "2" * 40}, "of revision '1111111111"),
        ({"project": "bank", "revision": "1" * 40}, "of project 'shop', not of 'bank'"),
        ({"project": "shop", "revision": "1" * 40, "run": "run-2"}, "of run 'run-1', not of 'run-2'"),
        ({"project": "shop", "revision": "1" * 40, "step": "scan"}, "of step 'build/image', not of 'scan'"),
    ],
)
def test_a_statement_replayed_from_elsewhere_is_refused(wanted: dict[str, str], message: str) -> None:
    read = verify_bundle(GOOD.bundle, GOOD.trust, at=NOW).statement
    check_revision(read, project="shop", revision="1" * 40, run="run-1", step="build/image")
    with pytest.raises(VerificationError) as caught:
        check_revision(read, **wanted)
    assert caught.value.code == "revision_mismatch"
    assert message in caught.value.what


def test_every_subject_must_be_of_the_revision() -> None:
    from maestro.signing import parse_statement

    document = json.loads(statement())
    other = json.loads(statement(revision="2" * 40))["subject"]
    read = parse_statement(encoded(document | {"subject": document["subject"] + other}))
    with pytest.raises(VerificationError, match="of revision '2222") as caught:
        check_revision(read, project="shop", revision="1" * 40)
    assert caught.value.code == "revision_mismatch"


def test_a_statement_that_names_no_revision_is_of_none() -> None:
    from maestro.artifacts.subject import Subject
    from maestro.signing import make_statement, parse_statement

    read = parse_statement(make_statement([Subject("app.whl", DIGEST)], PREDICATE_TYPE, {}))
    with pytest.raises(VerificationError, match="silent about its project") as caught:
        check_revision(read, project="shop", revision="1" * 40)
    assert caught.value.code == "revision_mismatch"


_PARTS = {
    "payload": lambda d: (d["dsseEnvelope"], "payload"),
    "payloadType": lambda d: (d["dsseEnvelope"], "payloadType"),
    "sig": lambda d: (d["dsseEnvelope"]["signatures"][0], "sig"),
    "keyid": lambda d: (d["dsseEnvelope"]["signatures"][0], "keyid"),
    "hint": lambda d: (d["verificationMaterial"]["publicKey"], "hint"),
}


@settings(max_examples=400, deadline=None)
@given(part=st.sampled_from(sorted(_PARTS)), place=st.integers(0, 10_000), to=st.integers(32, 126))
def test_no_character_of_what_is_signed_or_says_who_signed_can_be_changed(part: str, place: int, to: int) -> None:
    document = GOOD.document
    holder, key = _PARTS[part](document)
    text = holder[key]
    # The empty key id can only be added to.
    place %= max(1, len(text))
    holder[key] = text[:place] + chr(to) + text[place + 1 :]
    if holder[key] != text:
        refusal(encoded(document))


@settings(max_examples=400, deadline=None)
@given(place=st.integers(0, 10_000), bits=st.integers(1, 255), part=st.sampled_from(["payload", "sig"]))
def test_no_byte_of_payload_or_signature_can_be_changed(place: int, bits: int, part: str) -> None:
    document = GOOD.document
    holder, key = _PARTS[part](document)
    data = bytearray(base64.b64decode(holder[key]))
    data[place % len(data)] ^= bits
    holder[key] = base64_of(bytes(data))
    assert refusal(encoded(document)).code == "signature_invalid"


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_byte_changed_anywhere_is_refused_or_changes_nothing_that_is_said(place: int, byte: int) -> None:
    data = bytearray(GOOD.bundle)
    data[place % len(data)] = byte
    try:
        verified = verify_bundle(bytes(data), GOOD.trust, at=NOW)
    except VerificationError:
        return
    assert verified == verify_bundle(GOOD.bundle, GOOD.trust, at=NOW)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused_with_a_code(noise: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_bundle(noise)


def test_every_new_key_is_another_one() -> None:
    assert new_key()[0].keyid != new_key()[0].keyid
