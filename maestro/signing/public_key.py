"""A public key: its id, its scheme, and whether it made a signature."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro.signing.errors import KeyUnusableError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

ECDSA_P256 = "ecdsa-sha2-nistp256"
ECDSA_P384 = "ecdsa-sha2-nistp384"
ED25519 = "ed25519"
RSA_PKCS1 = "rsa-pkcs1v15-sha256"
RSA_PSS = "rsassa-pss-sha256"
SCHEMES = (ECDSA_P256, ECDSA_P384, ED25519, RSA_PKCS1, RSA_PSS)
"""As securesystemslib and TUF name them."""

_LEAST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that can be trusted; made by :meth:`from_pem` or :meth:`from_crypto`.

    Args:
        keyid: sha256 of the key's SubjectPublicKeyInfo (DER), in hexadecimal.
        scheme: one of :data:`SCHEMES`.
        pem: SubjectPublicKeyInfo.
    """

    keyid: str
    scheme: str
    pem: str

    @property
    def hint(self) -> str:
        """The key's id as Sigstore bundles name keys: sha256 of the DER, in base64."""
        return base64.b64encode(bytes.fromhex(self.keyid)).decode("ascii")

    @classmethod
    def from_pem(cls, pem: str, scheme: str | None = None) -> PublicKey:
        """The key in ``pem``; ``scheme`` says how it signs, its kind's usual one when None.

        Raises:
            KeyUnusableError: no public key, a kind that is not supported, or the scheme is another kind's.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            key = load_pem_public_key(pem.encode("utf-8"))
        except (ValueError, UnsupportedAlgorithm):
            raise KeyUnusableError(
                "this is no public key in PEM",
                next_step="give one that begins with '-----BEGIN PUBLIC KEY-----'; "
                "`openssl pkey -in KEY -pubout` writes it",
            ) from None
        return cls.from_crypto(key, scheme)

    @classmethod
    def from_crypto(cls, key: PublicKeyTypes, scheme: str | None = None) -> PublicKey:
        """As :meth:`from_pem`, from a key of the ``cryptography`` library."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        possible = _schemes_of(key)
        if not possible or (scheme is not None and scheme not in possible):
            meant = f"the scheme {scheme[:60]!r}" if scheme and possible else "a key of this kind"
            raise KeyUnusableError(
                f"{meant} cannot be used",
                next_step=f"use {', '.join(possible) if possible else 'ECDSA on P-256'} for this key"
                if possible
                else "use ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 bits and more",
            )
        form = PublicFormat.SubjectPublicKeyInfo
        keyid = hashlib.sha256(key.public_bytes(Encoding.DER, form)).hexdigest()
        return cls(keyid, scheme or possible[0], key.public_bytes(Encoding.PEM, form).decode("ascii"))

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether this key made ``signature`` over ``data``. Anything but a clean yes is False."""
        # The `cryptography` library itself and not securesystemslib, whose import loads every cloud's library that is
        # installed (0.4 s); a test holds both equal.
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(self.pem.encode("ascii"))
        if self.scheme not in _schemes_of(key):
            return False
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                digest = hashes.SHA256() if self.scheme == ECDSA_P256 else hashes.SHA384()
                key.verify(signature, data, ec.ECDSA(digest))
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
            elif isinstance(key, rsa.RSAPublicKey) and self.scheme == RSA_PKCS1:
                key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            elif isinstance(key, rsa.RSAPublicKey):
                pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
                key.verify(signature, data, pss, hashes.SHA256())
            else:
                return False
        except (InvalidSignature, ValueError):
            return False
        return True


def _schemes_of(key: PublicKeyTypes) -> tuple[str, ...]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": (ECDSA_P256,), "secp384r1": (ECDSA_P384,)}.get(key.curve.name, ())
    if isinstance(key, ed25519.Ed25519PublicKey):
        return (ED25519,)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        return (RSA_PKCS1, RSA_PSS)
    return ()
