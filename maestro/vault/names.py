"""Keys of the vault: relative paths that mean the same in a folder and in a bucket."""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import UTC, datetime

from maestro.errors import InputError

RESERVED = ".maestro"
"""The first part of keys the vault keeps for itself."""

PROBES = f"{RESERVED}/probe/"
HOLDS = f"{RESERVED}/holds/"

# S3 allows 1,024 bytes; the rest is for a prefix.
_LONGEST = 800


def checked_key(key: str) -> str:
    """``key`` itself, if it is a relative path without empty, ``.`` or ``..`` parts and without control characters.

    Raises:
        InputError: it is not, or it is longer than 800 bytes, or begins with the vault's own ``.maestro``.
    """
    parts = key.split("/")
    wrong = any(part in ("", ".", "..") for part in parts) or "\\" in key
    wrong = wrong or any(unicodedata.category(character) in ("Cc", "Cs") for character in key)
    if wrong or len(key.encode("utf-8", "surrogatepass")) > _LONGEST:
        raise InputError(
            f"{key[:120]!r} is no key of the vault",
            next_step="give a relative path such as evidence/shop/abc123/sbom.json, at most 800 bytes long",
        )
    if parts[0] == RESERVED:
        raise InputError(f"{key!r}: keys below {RESERVED}/ are the vault's own", next_step="choose another first part")
    return key


def hold_folder(key: str) -> str:
    """Where the notes on the legal holds of ``key`` lie. By digest, so that the longest key has them too."""
    return f"{HOLDS}{hashlib.sha256(key.encode()).hexdigest()}/"


def aware(moment: datetime | None, what: str) -> datetime:
    """``moment`` in UTC; now when it is None.

    Raises:
        InputError: it has no time zone.
    """
    if moment is None:
        return datetime.now(UTC)
    if moment.tzinfo is None:
        raise InputError(f"{what} has no time zone: {moment.isoformat()}", next_step="give one, such as UTC")
    return moment.astimezone(UTC)
