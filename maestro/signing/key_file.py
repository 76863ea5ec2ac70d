"""Private keys in files: made on first use, for their owner only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from maestro.artifacts import durable
from maestro.errors import Location
from maestro.signing.errors import KeyUnusableError
from maestro.signing.private_files import ensure_key_folder, read_private
from maestro.signing.public_key import ECDSA_P256, PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

PASSPHRASE_VARIABLE = "MAESTRO_SIGNING_PASSPHRASE"


@dataclass(frozen=True, slots=True)
class KeyFileSigner:
    """Signs with a private key in memory."""

    public_key: PublicKey
    development: bool
    _private: PrivateKeyTypes = field(repr=False)

    @property
    def keyid(self) -> str:
        """The public key's id."""
        return self.public_key.keyid

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``: DER for ECDSA, PKCS #1 v1.5 for RSA."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

        key = self._private
        if isinstance(key, ec.EllipticCurvePrivateKey):
            digest = hashes.SHA256() if self.public_key.scheme == ECDSA_P256 else hashes.SHA384()
            return key.sign(data, ec.ECDSA(digest))
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def open_key_file(uri: str, *, environ: Mapping[str, str], create: bool) -> KeyFileSigner:
    """The signer of ``file:PATH`` or ``file:PATH?passphrase-env=NAME``; the path is taken as it is written.

    Args:
        create: make it when it is not there: ECDSA P-256, encrypted when ``passphrase-env`` is given.

    Raises:
        KeyUnusableError: it cannot be read or made, others could read it, or the passphrase does not open it.
    """
    path, variable = _parts(uri)
    try:
        data = read_private(path, "key")
        if data is None:
            if not create:
                raise _unusable(path, "there is no such key", "make it, or name another one")
            _create(path, _passphrase(path, variable, environ) if variable else None)
            data = read_private(path, "key")
            if data is None:
                raise _unusable(path, "the key was removed while it was being made", "try again")
    except OSError as error:
        raise _unusable(path, f"the key cannot be used: {error.strerror}", "make it readable for you only") from None
    return _loaded(path, data, variable, environ)


def new_key() -> tuple[KeyFileSigner, bytes]:
    """A new ECDSA P-256 key, and what :func:`install_key` writes."""
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    return KeyFileSigner(PublicKey.from_crypto(private.public_key()), True, private), _pem(private, None)


def install_key(path: Path, data: bytes) -> None:
    """Write a private key to ``path``, whatever is there: whole, durable, for its owner only.

    Raises:
        KeyUnusableError: it cannot be written.
    """
    try:
        ensure_key_folder(path.parent)
        temporary = _aside(path, data)
        try:
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        durable.sync_folder(path.parent)
    except OSError as error:
        raise _unusable(path, f"the key cannot be written: {error.strerror}", "make its folder writable") from None


def _parts(uri: str) -> tuple[Path, str | None]:
    text, _, query = uri.removeprefix("file:").partition("?")
    if text.startswith("///"):
        text = text.removeprefix("//")
    given = dict(parse_qsl(query, keep_blank_values=True))
    variable = given.pop("passphrase-env", None)
    if not text or text.startswith("//") or given or variable == "":
        # The query is not repeated: somebody may have put a passphrase there.
        raise KeyUnusableError(
            "this names no key file",
            next_step="write file:PATH, or file:PATH?passphrase-env=NAME with the name of an environment variable",
        )
    return Path(text), variable


def _create(path: Path, passphrase: bytes | None) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    ensure_key_folder(path.parent)
    temporary = _aside(path, _pem(ec.generate_private_key(ec.SECP256R1()), passphrase))
    try:
        # A link does not replace: of two processes that make a key at once, both go on with the first one's.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    durable.sync_folder(path.parent)


def _aside(path: Path, data: bytes) -> Path:
    temporary = path.parent / f".{path.name}.{os.urandom(8).hex()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _pem(private: PrivateKeyTypes, passphrase: bytes | None) -> bytes:
    from cryptography.hazmat.primitives import serialization

    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _passphrase(path: Path, variable: str, environ: Mapping[str, str]) -> bytes:
    value = environ.get(variable)
    if not value:
        raise _unusable(
            path, "the key is encrypted and its passphrase is not there", f"set the environment variable {variable}"
        )
    return value.encode("utf-8")


def _loaded(path: Path, data: bytes, variable: str | None, environ: Mapping[str, str]) -> KeyFileSigner:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    encrypted = b"ENCRYPTED" in data
    name = variable or PASSPHRASE_VARIABLE
    passphrase = _passphrase(path, name, environ) if encrypted else None
    if variable and not encrypted:
        raise _unusable(path, "the key is not encrypted, and a passphrase is named", "encrypt it, or name none")
    try:
        private = load_pem_private_key(data, passphrase)
        public = PublicKey.from_crypto(private.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            raise _unusable(
                path, f"the passphrase in {name} does not open the key", "correct it, or name another variable"
            ) from None
        raise _unusable(
            path,
            "this is no private key in PEM",
            "use PKCS #8, which `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` writes",
        ) from None
    except KeyUnusableError as error:
        raise _unusable(path, error.what, error.next_step or "use ECDSA on P-256") from None
    return KeyFileSigner(public, not encrypted, private)


def _unusable(path: Path, what: str, next_step: str) -> KeyUnusableError:
    return KeyUnusableError(what, where=Location(str(path)), next_step=next_step)
