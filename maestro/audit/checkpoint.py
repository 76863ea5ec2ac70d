"""Checkpoints (C2SP tlog-checkpoint): a log's origin, size and root, in a signed note."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from maestro.audit.errors import NoteError
from maestro.audit.note import SignerKey, VerifierKey, decode_base64, open_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log was at one time.

    Args:
        origin: the log's name.
        size: its entries.
        root: 32 bytes, the Merkle tree hash over them.
        note: the signed note this was read from.
    """

    origin: str
    size: int
    root: bytes
    note: str


def sign_checkpoint(size: int, root: bytes, signer: SignerKey) -> Checkpoint:
    """A checkpoint of the log the key is named after; the same three make the same note."""
    note = signer.sign(f"{signer.name}\n{size}\n{base64.b64encode(root).decode()}\n")
    return Checkpoint(signer.name, size, root, note)


def open_checkpoint(note: str, keys: Sequence[VerifierKey], *, origin: str | None = None) -> Checkpoint:
    """Checks the signature and reads what it stands under.

    Args:
        origin: what the first line must be; the name of the first key when None.

    Raises:
        NoteError: malformed, not signed by one of ``keys``, or of another log.
    """
    text = open_note(note, keys)
    expected = keys[0].name if origin is None else origin
    lines = text[:-1].split("\n")
    wrong = NoteError("not a checkpoint: expected lines with origin, size and root", next_step="name another file")
    if len(lines) < 3 or not all(lines) or not _SIZE.fullmatch(lines[1]):
        raise wrong
    if lines[0] != expected:
        raise NoteError(
            f"this is a checkpoint of the log '{lines[0]}', not of '{expected}'", next_step="name the right file"
        )
    try:
        root = decode_base64(lines[2])
    except (ValueError, binascii.Error):
        raise wrong from None
    if len(root) != 32:
        raise wrong
    return Checkpoint(expected, int(lines[1]), root, note)
