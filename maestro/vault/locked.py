"""One locked object, as the vault states it to people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

COMPLIANCE = "COMPLIANCE"
"""S3's mode in which nobody, the owner of the account included, can delete or change before the time."""

NO_MODE = "none"
"""What a folder has: a date that only Maestro respects."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One object of the vault: the first version that was locked under its key.

    Args:
        key: its name in the vault.
        version_id: of the server; in a folder the digest.
        sha256: of the bytes, 64 hexadecimal digits, as recorded with them.
        size: bytes.
        evidence_type: as it was written (``sbom``, ``checkpoint``).
        until: end of the retention, in UTC.
        mode: ``COMPLIANCE``, or ``none`` where no server enforces it.
        immutable: the server holds the lock, and a probe proved that it does.
        legal_hold: it cannot be deleted whatever ``until`` says, until the hold is lifted.
        hidden: a later version or a deletion hides it from readers that are not the vault; it is still there.
        caveat: why it is not immutable; None when it is.
    """

    key: str
    version_id: str
    sha256: str
    size: int
    evidence_type: str
    until: datetime
    mode: str
    immutable: bool
    legal_hold: bool = False
    hidden: bool = False
    caveat: str | None = None

    def text(self, at: datetime | None = None) -> str:
        """One line for people: until when it is locked, and everything that qualifies it."""
        moment = self.until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        over = self.until <= (at or datetime.now(UTC))
        if self.immutable:
            said = [f"lock ended {moment}" if over else f"locked until {moment}"]
        else:
            said = [f"{'kept' if over else 'to be kept'} until {moment}, NOT immutable: {self.caveat or 'unknown why'}"]
        if self.legal_hold:
            said.append("under legal hold")
        if self.hidden:
            said.append("hidden by a later version or deletion, still readable here")
        return "; ".join(said)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types; ``until`` as RFC 3339, and the line for people as ``text``."""
        return {
            "key": self.key,
            "version_id": self.version_id,
            "sha256": self.sha256,
            "size": self.size,
            "evidence_type": self.evidence_type,
            "until": self.until.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "mode": self.mode,
            "immutable": self.immutable,
            "legal_hold": self.legal_hold,
            "hidden": self.hidden,
            "caveat": self.caveat,
            "text": self.text(),
        }


@dataclass(frozen=True, slots=True)
class Hold:
    """One change of a legal hold: who reads it later learns why.

    Args:
        key: what it is about.
        on: placed or lifted.
        reason: a person's words.
        at: when, in UTC.
    """

    key: str
    on: bool
    reason: str
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {"key": self.key, "on": self.on, "reason": self.reason, "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Hold:
        """The hold ``document`` describes. Raises KeyError, TypeError or ValueError when it describes none."""
        return cls(document["key"], document["on"], document["reason"], datetime.fromisoformat(document["at"]))
