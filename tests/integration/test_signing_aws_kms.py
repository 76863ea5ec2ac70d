"""Keys of AWS KMS, against a server that speaks its protocol."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from maestro.signing import KeyUnusableError, SigningError, TrustRoot, open_signer, sign_statement, verify_bundle
from maestro.signing.project_keys import trusted
from tests.unit.signing_statements import NOW, statement

# The server hashes digests once more and salts with what fits. AWS signs a digest as it is, with a salt of its length.
SERVER = """
import sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils as digests
from moto.kms import utils
from moto.server import ThreadedMotoServer

def algorithm(name):
    return getattr(hashes, "SHA" + name.rpartition("_")[2])()

def sign_ecdsa(self, message, signing_algorithm):
    return self.private_key.sign(message, ec.ECDSA(digests.Prehashed(algorithm(signing_algorithm))))

def sign_rsa(self, message, signing_algorithm):
    assert signing_algorithm.startswith("RSASSA_PSS")
    hashed = algorithm(signing_algorithm)
    pss = padding.PSS(padding.MGF1(hashed), padding.PSS.DIGEST_LENGTH)
    return self.private_key.sign(message, pss, digests.Prehashed(hashed))

utils.ECDSAPrivateKey.sign = sign_ecdsa
utils.RSAPrivateKey.sign = sign_rsa
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.readline()
"""


@contextmanager
def service() -> Iterator[Any]:
    """A client of a new server; signers find the server in the environment."""
    import boto3

    with (
        subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert server.stdout is not None
        try:
            patch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{int(server.stdout.readline())}")
            patch.setenv("AWS_ACCESS_KEY_ID", "key")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patch.setenv("AWS_MAX_ATTEMPTS", "1")
            yield boto3.client("kms")
        finally:
            server.kill()


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    with service() as client:
        yield client


def make_key(kms: Any, spec: str, usage: str = "SIGN_VERIFY") -> str:
    made: str = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
    return made


@pytest.mark.parametrize(
    ("spec", "scheme"),
    [
        ("ECC_NIST_P256", "ecdsa-sha2-nistp256"),
        ("ECC_NIST_P384", "ecdsa-sha2-nistp384"),
        ("RSA_2048", "rsassa-pss-sha256"),
    ],
)
def test_a_key_of_the_service_signs_what_verifies(kms: Any, spec: str, scheme: str) -> None:
    signer = open_signer(f"awskms:///{make_key(kms, spec)}", environ={})
    assert signer.public_key.scheme == scheme
    assert not signer.development
    trust = TrustRoot((trusted(signer.public_key, name="release", at=NOW),))
    assert verify_bundle(sign_statement(statement(), signer), trust, at=NOW).signer.name == "release"


def test_a_key_may_be_named_by_alias_and_by_arn(kms: Any) -> None:
    key = make_key(kms, "ECC_NIST_P256")
    kms.create_alias(AliasName="alias/release", TargetKeyId=key)
    arn = kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    ids = {open_signer(f"awskms:///{one}", environ={}).keyid for one in (key, "alias/release", arn)}
    assert len(ids) == 1


def test_a_key_the_service_does_not_have_is_refused(kms: Any) -> None:
    with pytest.raises(KeyUnusableError, match="cannot be used: NotFoundException") as caught:
        open_signer("awskms:///alias/nothing", environ={})
    assert caught.value.next_step


def test_a_key_that_cannot_sign_is_refused(kms: Any) -> None:
    with pytest.raises(KeyUnusableError):
        open_signer(f"awskms:///{make_key(kms, 'SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')}", environ={})


def test_a_service_that_went_away_neither_signs_nor_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with service() as client:
        uri = f"awskms:///{make_key(client, 'ECC_NIST_P256')}"
        signer = open_signer(uri, environ={})
    with pytest.raises(SigningError, match="awskms did not sign: EndpointConnectionError") as caught:
        signer.sign(b"x")
    assert caught.value.next_step
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    with pytest.raises(KeyUnusableError, match="cannot be used: EndpointConnectionError") as refused:
        open_signer(uri, environ={})
    assert "hush-hush" not in str(refused.value)


def test_a_uri_with_a_host_is_refused() -> None:
    with pytest.raises(KeyUnusableError, match="names no host") as caught:
        open_signer("awskms://localhost:4566/alias/release", environ={})
    assert "AWS_ENDPOINT_URL_KMS" in str(caught.value)
