"""Somebody who has openssl and the public key can verify a bundle without Maestro."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from maestro.signing import open_signer, sign_statement
from tests.unit.signing_statements import statement

KEYS = {
    "P-256": (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], ["-sha256"]),
    "P-384": (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], ["-sha384"]),
    "RSA": (["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["-sha256"]),
}


def pae(bundle: bytes) -> tuple[bytes, bytes]:
    """What was signed, and the signature, written down as the DSSE specification says it and not as Maestro does."""
    envelope = json.loads(bundle)["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    signed = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
    return signed, base64.b64decode(envelope["signatures"][0]["sig"])


def openssl_says(folder: Path, signed: bytes, signature: bytes, pem: str, digest: list[str]) -> str:
    (folder / "signed").write_bytes(signed)
    (folder / "signature").write_bytes(signature)
    (folder / "key.pub").write_text(pem)
    command = ["openssl", "dgst", *digest, "-verify", "key.pub", "-signature", "signature", "signed"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.parametrize("kind", KEYS)
def test_openssl_verifies_what_a_key_of_openssl_signed(kind: str, tmp_path: Path) -> None:
    options, digest = KEYS[kind]
    subprocess.run(["openssl", "genpkey", *options, "-out", "key.pem"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "key.pem").chmod(0o600)
    signer = open_signer(f"file:{tmp_path}/key.pem", environ={})
    signed, signature = pae(sign_statement(statement(), signer))
    assert openssl_says(tmp_path, signed, signature, signer.public_key.pem, digest) == "Verified OK"
    assert openssl_says(tmp_path, signed + b" ", signature, signer.public_key.pem, digest) == "Verification failure"


def test_openssl_verifies_what_the_development_key_signed(tmp_path: Path) -> None:
    signer = open_signer(f"file:{tmp_path}/keys/development.pem", environ={}, create=True)
    signed, signature = pae(sign_statement(statement(), signer))
    assert openssl_says(tmp_path, signed, signature, signer.public_key.pem, ["-sha256"]) == "Verified OK"


def test_an_encrypted_key_of_openssl_signs_with_its_passphrase(tmp_path: Path) -> None:
    command = ["openssl", "genpkey", *KEYS["P-256"][0], "-aes256", "-pass", "env:WORDS", "-out", "key.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env={"WORDS": "correct horse"})
    (tmp_path / "key.pem").chmod(0o600)
    signer = open_signer(f"file:{tmp_path}/key.pem?passphrase-env=P", environ={"P": "correct horse"})
    signed, signature = pae(sign_statement(statement(), signer))
    assert not signer.development
    assert openssl_says(tmp_path, signed, signature, signer.public_key.pem, ["-sha256"]) == "Verified OK"
