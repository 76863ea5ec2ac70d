"""securesystemslib, which TUF and in-toto build on, agrees with Maestro on what is signed and what verifies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError as TheirError
from securesystemslib.signer import CryptoSigner, SSlibKey

from maestro.signing import (
    PAYLOAD_TYPE,
    Bundle,
    PublicKey,
    TrustedKey,
    TrustRoot,
    open_signer,
    pre_authentication_encoding,
    sign_statement,
    verify_bundle,
)
from tests.unit.signing_statements import NOW, statement

THEIRS = {
    "ecdsa-sha2-nistp256": lambda: CryptoSigner.generate_ecdsa(),
    "ecdsa-sha2-nistp384": lambda: CryptoSigner.generate_ecdsa(scheme="ecdsa-sha2-nistp384"),
    "ed25519": lambda: CryptoSigner.generate_ed25519(),
    "rsassa-pss-sha256": lambda: CryptoSigner.generate_rsa(size=2048),
    "rsa-pkcs1v15-sha256": lambda: CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256", size=2048),
}


@given(st.text(), st.binary())
def test_both_sign_the_same_bytes(payload_type: str, payload: bytes) -> None:
    assert Envelope(payload, payload_type, {}).pae() == pre_authentication_encoding(payload_type, payload)


@pytest.mark.parametrize("scheme", THEIRS)
def test_what_they_sign_verifies_here(scheme: str) -> None:
    signer = THEIRS[scheme]()
    public = SSlibKey.to_dict(signer.public_key)["keyval"]["public"]
    if scheme == "ed25519":
        # They keep the bare key as hexadecimal digits.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = PublicKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)))
    else:
        key = PublicKey.from_pem(public, scheme)
    signature = bytes.fromhex(Envelope(statement(), PAYLOAD_TYPE, {}).sign(signer).signature)
    trust = TrustRoot((TrustedKey.of(key, name="theirs", valid_from=NOW),))
    bundle = Bundle(statement(), PAYLOAD_TYPE, signature, key.keyid).to_json()
    assert verify_bundle(bundle, trust, at=NOW).signer.scheme == scheme


def test_what_is_signed_here_verifies_there(tmp_path: Path) -> None:
    signer = open_signer(f"file:{tmp_path}/keys/development.pem", environ={}, create=True)
    document = json.loads(sign_statement(statement(), signer))["dsseEnvelope"]
    key = SSlibKey("", "ecdsa", signer.public_key.scheme, {"public": signer.public_key.pem})
    envelope = Envelope.from_dict(document)
    assert list(envelope.verify([key], 1)) == [""]
    envelope.payload += b" "
    with pytest.raises(TheirError):
        envelope.verify([key], 1)
