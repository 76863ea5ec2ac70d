"""Signed notes of C2SP (signed-note, Ed25519): the keys' text forms, signing, and strict opening.

Written by hand: no maintained Python library has the format, and it is one page.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from maestro.audit.errors import AuditInputError, NoteError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAXIMUM_SIZE = 1_000_000
MAXIMUM_SIGNATURES = 100
_ED25519 = b"\x01"
_DASH = "— "
_PRIVATE = "PRIVATE+KEY+"
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")


def check_name(name: str) -> str:
    """``name``, when it may name a key.

    Raises:
        AuditInputError: it is empty, longer than 200 characters, or has spaces, ``+`` or control characters.
    """
    if not _NAME.fullmatch(name):
        raise AuditInputError(
            f"{name!r} cannot name an audit log",
            next_step="use up to 200 characters without spaces and '+', such as maestro.example/audit/shop",
        )
    return name


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def decode_base64(text: str) -> bytes:
    """Bytes of standard base64 in its one canonical spelling; ValueError otherwise."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name.

    Args:
        name: for a log, its origin.
        public: 32 bytes of Ed25519.
    """

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes a signature is found by."""
        return _key_id(self.name, self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key of a line ``name+id+base64``.

        Raises:
            AuditInputError: it is no such line.
        """
        name, public = _parse_key(text.strip(), "public")
        return cls(name, public)

    def verify(self, signature: bytes, text: bytes) -> bool:
        """Whether this key made the signature."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class SignerKey:
    """A private key with its name; its text and bytes are not shown.

    Args:
        seed: 32 bytes.
    """

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> SignerKey:
        """A new key."""
        import secrets

        return cls(check_name(name), secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str) -> SignerKey:
        """The key of a line ``PRIVATE+KEY+name+id+base64``.

        Raises:
            AuditInputError: it is no such line; the message does not repeat it.
        """
        stripped = text.strip()
        if not stripped.startswith(_PRIVATE):
            raise AuditInputError(
                "this is not the private key of an audit log", next_step="name the file that begins with PRIVATE+KEY"
            )
        name, seed = _parse_key(stripped.removeprefix(_PRIVATE), "private")
        return cls(name, seed)

    def private_text(self) -> str:
        """The line ``parse`` reads. A secret."""
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{base64.b64encode(_ED25519 + self.seed).decode()}"

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def verifier(self) -> VerifierKey:
        """The public key."""
        return VerifierKey(self.name, self._private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The note: ``text``, an empty line, and one signature line.

        Args:
            text: ends with a newline.
        """
        signature = base64.b64encode(self.verifier.id + self._private.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.name} {signature}\n"


def _parse_key(text: str, kind: str) -> tuple[str, bytes]:
    wrong = AuditInputError(
        f"this is not the {kind} key of an audit log", next_step="give a line such as NAME+1a2b3c4d+BASE64, or its file"
    )
    name, _, rest = text.partition("+")
    identity, _, encoded = rest.partition("+")
    try:
        data = decode_base64(encoded)
    except (ValueError, binascii.Error):
        raise wrong from None
    if not _NAME.fullmatch(name) or len(data) != 33 or data[:1] != _ED25519:
        raise wrong
    key = data[1:]
    public = SignerKey(name, key).verifier.public if kind == "private" else key
    if identity != _key_id(name, public).hex():
        raise wrong
    return name, key


def open_note(note: str, keys: Sequence[VerifierKey]) -> str:
    """The text of a note that at least one of ``keys`` signed; signatures of other keys are passed over.

    Raises:
        NoteError: malformed in any way, signed by none of the keys, or with a wrong signature by one of them.
    """
    text, lines = _take_apart(note)
    body = text.encode()
    signed = False
    for name, identity, signature in lines:
        key = next((one for one in keys if one.name == name and one.id == identity), None)
        if key is None:
            continue
        if not key.verify(signature, body):
            raise NoteError(
                f"the signature of '{name}' is wrong: the checkpoint was changed after it was signed",
                next_step="get the checkpoint again from where it was kept",
            )
        signed = True
    if not signed:
        raise NoteError(
            "no trusted key signed this checkpoint", next_step="check that the key given is the key of this log"
        )
    return text


def _take_apart(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    def malformed(why: str) -> NoteError:
        return NoteError(f"not a signed note: {why}", next_step="get the checkpoint again from where it was kept")

    try:
        size = len(note.encode())
    except UnicodeEncodeError:
        raise malformed("not UTF-8") from None
    if size > MAXIMUM_SIZE:
        raise malformed(f"larger than {MAXIMUM_SIZE} bytes")
    if any(ord(character) < 0x20 and character != "\n" for character in note):
        raise malformed("it has control characters")
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise malformed("no signature stands behind an empty line")
    lines = signatures[:-1].split("\n")
    if len(lines) > MAXIMUM_SIGNATURES:
        raise malformed(f"more than {MAXIMUM_SIGNATURES} signatures")
    found = []
    for line in lines:
        words = line.removeprefix(_DASH).split(" ")
        if not line.startswith(_DASH) or len(words) != 2 or not _NAME.fullmatch(words[0]):
            raise malformed("a signature line is not '— NAME BASE64'")
        try:
            data = decode_base64(words[1])
        except (ValueError, binascii.Error):
            raise malformed("a signature is not base64") from None
        if len(data) < 5:
            raise malformed("a signature is too short")
        found.append((words[0], data[:4], data[4:]))
    return text + "\n", found
