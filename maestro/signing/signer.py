"""Who signs, by URI: a key file, a token, or a key management service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from maestro.signing.bundle import PAYLOAD_TYPE, Bundle, pre_authentication_encoding
from maestro.signing.errors import KeyUnusableError
from maestro.signing.public_key import PublicKey

KMS_SCHEMES = ("awskms", "gcpkms", "azurekms")


class Signer(Protocol):
    """Holds a key, or the way to one; nothing about it can be printed that is secret."""

    @property
    def public_key(self) -> PublicKey:
        """What verifies its signatures."""

    @property
    def keyid(self) -> str:
        """The public key's id."""

    @property
    def development(self) -> bool:
        """The key lies unencrypted on this machine's disk: good for trying out, not for releases."""

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``. Raises SigningError when the token or service does not give one."""


def open_signer(uri: str, *, environ: Mapping[str, str], create: bool = False) -> Signer:
    """The signer ``uri`` names.

    Args:
        uri: ``file:PATH`` (``?passphrase-env=NAME`` when it is encrypted), ``pkcs11:…`` (RFC 7512),
            ``awskms:///KEY``, ``gcpkms://projects/…``, ``azurekms://VAULT.vault.azure.net/keys/NAME/VERSION``.
        environ: where passphrases and PINs are read from. Libraries of cloud services look for credentials in the
            process's own environment.
        create: make the file when it is not there.

    Raises:
        KeyUnusableError: the URI or the key cannot be used, or an extra is not installed.
    """
    scheme = uri.partition(":")[0]
    if scheme == "file":
        from maestro.signing.key_file import open_key_file

        return open_key_file(uri, environ=environ, create=create)
    if scheme == "pkcs11":
        from maestro.signing.pkcs11_signer import open_pkcs11

        return open_pkcs11(uri, environ=environ)
    if scheme in KMS_SCHEMES:
        from maestro.signing.kms import open_kms

        return open_kms(uri)
    known = ", ".join(f"{name}:" for name in ("file", "pkcs11", *KMS_SCHEMES))
    raise KeyUnusableError(
        f"there is no signer '{scheme[:40]}:'" if ":" in uri else "the signer is not a URI",
        next_step=f"begin it with one of {known}, such as file:/etc/maestro/signing.pem",
    )


def sign_statement(payload: bytes, signer: Signer) -> bytes:
    """A Sigstore bundle v0.3 (JSON) with ``payload`` in a DSSE envelope that ``signer`` signed.

    Args:
        payload: a statement, from :func:`maestro.signing.make_statement`.

    Raises:
        SigningError: the signer gave no signature.
    """
    signature = signer.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    return Bundle(payload, PAYLOAD_TYPE, signature, signer.keyid).to_json()
