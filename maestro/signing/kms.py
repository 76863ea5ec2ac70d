"""Signs with a key of a cloud's key management service, through securesystemslib's signers.

Their libraries take credentials, region and endpoint from the process's environment, as their vendors describe it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from maestro.signing.errors import KeyUnusableError, SigningError
from maestro.signing.public_key import PublicKey

_FORMS = {
    "awskms": "awskms:///alias/NAME, awskms:///KEY-ID or awskms:///arn:aws:kms:…",
    "gcpkms": "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1",
    "azurekms": "azurekms://VAULT.vault.azure.net/keys/NAME",
}
_AZURE_HOST = ".vault.azure.net"
_GCP_WORDS = ["projects", "locations", "keyRings", "cryptoKeys", "cryptoKeyVersions"]


@dataclass(frozen=True, slots=True)
class KmsSigner:
    """Sends a digest to the service, which signs it."""

    public_key: PublicKey
    _service: str = field(repr=False)
    _signer: Any = field(repr=False)
    development: bool = False

    @property
    def keyid(self) -> str:
        """The public key's id."""
        return self.public_key.keyid

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``. Raises SigningError when the service gives none that verifies."""
        try:
            signature = bytes.fromhex(self._signer.sign(data).signature)
        except Exception as error:  # noqa: BLE001 - each cloud's library has a tree of errors of its own
            raise SigningError(
                f"{self._service} did not sign: {_said(error)}",
                next_step="look at its credentials, the key's state and the right to sign with it",
            ) from None
        if not self.public_key.verify(signature, data):
            raise SigningError(
                f"{self._service} signed with another key than the one it showed",
                next_step="name one version of the key, not one that moves",
            )
        return signature


def open_kms(uri: str) -> KmsSigner:
    """The signer of ``awskms:``, ``gcpkms:`` or ``azurekms:``. Asks the service for its public key.

    Raises:
        KeyUnusableError: the URI cannot be used, the extra is not installed, or the service does not answer with a key.
    """
    scheme, _, rest = uri.partition("://")
    if scheme not in _FORMS or not rest.isprintable() or not _names_key(scheme, rest):
        _refuse_uri(uri.partition(":")[0])
    try:
        # Loads boto3 and its like where they are installed, which takes half a second: only for those who sign there.
        from securesystemslib.exceptions import UnsupportedLibraryError
    except ImportError:
        _refuse_missing(scheme)
    try:
        made = {"awskms": _aws, "gcpkms": _gcp, "azurekms": _azure}[scheme](rest)
    except KeyUnusableError:
        raise
    except UnsupportedLibraryError:
        _refuse_missing(scheme)
    except Exception as error:  # noqa: BLE001 - each cloud's library has a tree of errors of its own
        raise KeyUnusableError(
            f"the key {uri[:200]} cannot be used: {_said(error)}",
            next_step="look at the credentials in the environment, the region, and the right to read the public key",
        ) from None
    known = made.public_key
    return KmsSigner(PublicKey.from_pem(known.keyval["public"], known.scheme), scheme, made)


def _names_key(scheme: str, rest: str) -> bool:
    """Whether the form is right; asked before any library is, so that a slip of the pen is called one everywhere."""
    host, *path = rest.split("/")
    if scheme == "awskms":
        return any(path)
    if scheme == "gcpkms":
        return len(path) == 9 and [host, *path[1::2]] == _GCP_WORDS
    return host.endswith(_AZURE_HOST) and len(path) in (2, 3) and path[0] == "keys" and all(path)


def _aws(rest: str) -> Any:
    from securesystemslib.signer import AWSSigner  # type: ignore[attr-defined]  # re-exported without saying so

    host, _, key = rest.partition("/")
    if host:
        raise KeyUnusableError(
            "an awskms: URI names no host",
            next_step=f"write awskms:///{key or 'alias/NAME'}, and set AWS_ENDPOINT_URL_KMS for another endpoint",
        )
    _uri, public = AWSSigner.import_(key)
    return AWSSigner(key, public)


def _gcp(rest: str) -> Any:
    from securesystemslib.signer import GCPSigner  # type: ignore[attr-defined]  # re-exported without saying so

    _uri, public = GCPSigner.import_(rest)
    return GCPSigner(rest, public)


def _azure(rest: str) -> Any:
    from securesystemslib.signer import AzureSigner  # type: ignore[attr-defined]  # re-exported without saying so

    host, *path = rest.split("/")
    uri, public = AzureSigner.import_(host.removesuffix(_AZURE_HOST), path[1])
    if len(path) == 3 and not uri.endswith(f"/{path[2]}"):
        raise KeyUnusableError(
            "the vault's current version of the key is another one",
            next_step="trust the new version with `maestro keys rotate`, and name it in the URI",
        )
    return AzureSigner.from_priv_key_uri(uri, public)


def _refuse_uri(scheme: str) -> NoReturn:
    form = _FORMS.get(scheme, _FORMS["awskms"])
    raise KeyUnusableError(f"the {scheme}: URI names no key", next_step=f"write {form}")


def _refuse_missing(scheme: str) -> NoReturn:
    raise KeyUnusableError(
        f"{scheme}: needs libraries that are not installed",
        next_step=f"install them with `pip install 'maestro-conductor[{scheme}]'`",
    )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
