"""What both kinds of vault check before they act."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from maestro.errors import InputError
from maestro.vault.retention import OTHER, retain_until

_TYPE_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def end_of_lock(
    table: Mapping[str, timedelta], evidence_type: str, retention: timedelta | None, at: datetime
) -> datetime:
    """When the lock of evidence made ``at`` ends.

    Raises:
        InputError: the type is no plain lower-case word, or the retention cannot be used.
    """
    if not evidence_type or len(evidence_type) > 64 or not _TYPE_CHARACTERS.issuperset(evidence_type):
        raise InputError(
            f"{evidence_type[:80]!r} is no evidence type",
            next_step="give a lower-case word such as sbom, provenance or test-report",
        )
    return retain_until(table.get(evidence_type, OTHER) if retention is None else retention, at)


def checked_reason(reason: str) -> str:
    """``reason``, if it says something in at most 2,000 characters.

    Raises:
        InputError: it does not.
    """
    if not reason.strip() or len(reason) > 2000:
        raise InputError(
            "a legal hold needs a reason of at most 2,000 characters",
            next_step="say why, so that whoever reads it later can tell: the case, and who asked",
        )
    return reason.strip()


def refuse_shorter(key: str, until: datetime, asked: datetime) -> None:
    """Raises InputError when ``asked`` is earlier than ``until``."""
    if asked < until:
        raise InputError(
            f"{key!r} is locked until {until.isoformat()}; a lock never becomes shorter ({asked.isoformat()})",
            next_step="give a later date, or leave it as it is",
        )
