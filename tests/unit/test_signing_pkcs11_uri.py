"""PKCS #11 URIs: read as RFC 7512 says, and never with a PIN in them."""

from __future__ import annotations

import pytest

from maestro.signing import KeyUnusableError
from maestro.signing.pkcs11_uri import Pkcs11Uri, parse_pkcs11_uri

WHERE = "module-path=/lib/p11.so&pin-source=env:PIN"


def refusal(uri: str) -> str:
    with pytest.raises(KeyUnusableError) as caught:
        parse_pkcs11_uri(uri, environ={})
    assert caught.value.next_step
    return str(caught.value)


def test_every_part_is_read_with_its_percent_encoding() -> None:
    uri = (
        "pkcs11:token=My%20token;manufacturer=Snake%20Oil;model=1.0;serial=DECAFBAD;slot-id=7;object=a%3bb;id=%00%ff;"
        "type=private?module-path=%2flib%2Fp11.so&pin-source=file:/run/pin"
    )
    assert parse_pkcs11_uri(uri, environ={}) == Pkcs11Uri(
        module_path="/lib/p11.so",
        pin_source="file:/run/pin",
        token="My token",
        manufacturer="Snake Oil",
        model="1.0",
        serial="DECAFBAD",
        slot_id=7,
        object="a;b",
        id=b"\x00\xff",
    )


def test_a_pin_in_the_uri_is_refused_and_not_repeated() -> None:
    said = refusal(f"pkcs11:object=k?pin-value=4711&{WHERE}")
    assert "must not hold a PIN" in said
    assert "4711" not in said


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        (f"pkcs11:?{WHERE}", "does not say which key"),
        (f"pkcs11:token=t?{WHERE}", "does not say which key"),
        ("pkcs11:object=k?pin-source=env:PIN", "which library reaches the token"),
        ("pkcs11:object=k?module-path=p11.so&pin-source=env:PIN", "which library reaches the token"),
        ("pkcs11:object=k?module-path=/lib/p11.so", "does not say where the PIN is"),
        (f"pkcs11:object=k;object=l?{WHERE}", "'object' is in the pkcs11: URI twice"),
        (f"pkcs11:object=k;colour=red?{WHERE}", "'colour' of the pkcs11: URI is not known"),
        (f"pkcs11:object=k;pin-value=4711?{WHERE}", "'pin-value' of the pkcs11: URI is not known"),
        (f"pkcs11:object=k;?{WHERE}", "a part of the pkcs11: URI is not known"),
        (f"pkcs11:object=k;type=public?{WHERE}", "names no private key"),
        (f"pkcs11:object=k;slot-id=x?{WHERE}", "slot-id is not a number"),
        (f"pkcs11:object=%ff?{WHERE}", "'object' of the pkcs11: URI is not UTF-8"),
    ],
)
def test_a_uri_that_does_not_say_enough_is_refused(uri: str, says: str) -> None:
    said = refusal(uri)
    assert says in said
    assert "4711" not in said
    assert "such as pkcs11:token=release" in said


def test_a_pin_that_is_not_there_is_named_by_where_it_should_be() -> None:
    with pytest.raises(KeyUnusableError, match="the PIN is not in the environment variable PIN"):
        parse_pkcs11_uri(f"pkcs11:object=k?{WHERE}", environ={}).pin({})
    with pytest.raises(KeyUnusableError, match="/nowhere/pin: there is no PIN in the file"):
        parse_pkcs11_uri("pkcs11:object=k?module-path=/l&pin-source=/nowhere/pin", environ={}).pin({})
