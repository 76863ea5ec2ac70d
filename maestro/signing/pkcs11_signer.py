"""Signs with a key that never leaves its token: HSM, smart card, SoftHSM2 (PKCS #11).

securesystemslib's HSMSigner knows keys by number only and takes its library from the process's environment; an RFC 7512
URI says more than that, so this talks to python-pkcs11 itself.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maestro.signing.errors import KeyUnusableError, SigningError
from maestro.signing.pkcs11_uri import Pkcs11Uri, parse_pkcs11_uri
from maestro.signing.public_key import ECDSA_P256, ECDSA_P384, PublicKey

if TYPE_CHECKING:
    from pkcs11 import Session, Token

# A login belongs to the process and not to the session, so sessions of two threads would log each other out.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Pkcs11Signer:
    """Signs on the token; each signature is a session of its own, so a token that was away can come back."""

    public_key: PublicKey
    _uri: Pkcs11Uri = field(repr=False)
    _pin: str = field(repr=False)
    development: bool = False

    @property
    def keyid(self) -> str:
        """The public key's id."""
        return self.public_key.keyid

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``, DER. Raises SigningError when the token gives none that verifies."""
        from pkcs11 import Mechanism, ObjectClass
        from pkcs11.util.ec import encode_ecdsa_signature

        digest = hashlib.sha256(data) if self.public_key.scheme == ECDSA_P256 else hashlib.sha384(data)
        try:
            with _session(self._uri, self._pin) as session:
                # Every token knows plain ECDSA; the hash is made here.
                raw = _only_key(session, ObjectClass.PRIVATE_KEY, self._uri).sign(
                    digest.digest(), mechanism=Mechanism.ECDSA
                )
        except KeyUnusableError as error:
            raise SigningError(f"the token did not sign: {error.what}", next_step=error.next_step) from None
        signature = encode_ecdsa_signature(raw)
        if not self.public_key.verify(signature, data):
            raise SigningError(
                "the token signed with another key than the public one beside it",
                next_step="name the key by its id, which private and public key share",
            )
        return signature


def open_pkcs11(uri: str, *, environ: Mapping[str, str]) -> Pkcs11Signer:
    """The signer of a ``pkcs11:`` URI: ECDSA on P-256 or P-384.

    Raises:
        KeyUnusableError: the URI, its module, the token, the PIN or the key cannot be used.
    """
    named = parse_pkcs11_uri(uri, environ=environ)
    pin = named.pin(environ)
    try:
        from pkcs11 import ObjectClass
        from pkcs11.util.ec import encode_ec_public_key
    except ImportError:
        raise KeyUnusableError(
            "keys on tokens need python-pkcs11",
            next_step="install it with `pip install 'maestro-conductor[pkcs11]'`",
        ) from None
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    with _session(named, pin) as session:
        der = encode_ec_public_key(_only_key(session, ObjectClass.PUBLIC_KEY, named))
        _only_key(session, ObjectClass.PRIVATE_KEY, named)
    try:
        public = PublicKey.from_crypto(load_der_public_key(der))
    except ValueError:
        raise KeyUnusableError("the token gives no usable public key", next_step="use ECDSA on P-256") from None
    if public.scheme not in (ECDSA_P256, ECDSA_P384):
        raise KeyUnusableError("this kind of key on a token cannot be used", next_step="use ECDSA on P-256 or P-384")
    return Pkcs11Signer(public, named, pin)


@contextmanager
def _session(uri: Pkcs11Uri, pin: str) -> Iterator[Session]:
    import pkcs11

    with _ONE_AT_A_TIME:
        try:
            with _token(uri).open(user_pin=pin) as session:
                yield session
        except pkcs11.PinLocked:
            raise KeyUnusableError(
                "the token's PIN is locked", next_step="unlock it with the token's own tool"
            ) from None
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            # Not tried again: most tokens lock after three wrong PINs.
            raise KeyUnusableError(
                "the token refuses the PIN", next_step="correct what pin-source names before it is tried again"
            ) from None
        except pkcs11.PKCS11Error as error:
            raise KeyUnusableError(
                f"the token cannot be used: {type(error).__name__}", next_step="look at it with `pkcs11-tool -L -O`"
            ) from None


def _token(uri: Pkcs11Uri) -> Token:
    import pkcs11

    try:
        library = pkcs11.lib(uri.module_path)
        # Tokens may have come since the library was loaded.
        slots = library.get_slots(token_present=True)
        tokens = [slot.get_token() for slot in slots if uri.slot_id in (None, slot.slot_id)]
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise KeyUnusableError(
            f"the PKCS #11 library {uri.module_path} cannot be used: {type(error).__name__}",
            next_step="correct module-path; `apt-get install softhsm2` brings /usr/lib/softhsm/libsofthsm2.so",
        ) from None
    found = [token for token in tokens if token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED and _is(token, uri)]
    if len(found) != 1:
        raise KeyUnusableError(
            f"{len(found) or 'no'} token{'s' if len(found) > 1 else ''} of {uri.module_path} fit the URI",
            next_step="say which one with token=LABEL or serial=…; `pkcs11-tool -L` lists them",
        )
    return found[0]


def _is(token: Token, uri: Pkcs11Uri) -> bool:
    serial = token.serial.decode("utf-8", "replace").strip()
    pairs = (
        (uri.token, token.label),
        (uri.serial, serial),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
    )
    return all(wanted is None or wanted == actual.strip() for wanted, actual in pairs)


def _only_key(session: Session, kind: Any, uri: Pkcs11Uri) -> Any:
    from pkcs11 import KeyType, MultipleObjectsReturned, NoSuchKey

    word = kind.name.lower().replace("_", " ")
    try:
        return session.get_key(kind, KeyType.EC, label=uri.object, id=uri.id)
    except NoSuchKey:
        problem = f"there is no {word} for ECDSA on the token that fits the URI"
    except MultipleObjectsReturned:
        problem = f"the token has more than one {word} that fits the URI"
    raise KeyUnusableError(
        problem, next_step="name it by object=LABEL and id=%01; `pkcs11-tool -O` lists them"
    ) from None
