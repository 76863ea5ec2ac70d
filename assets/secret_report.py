"""What a search for secrets found; no secret is ever in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from maestro.errors import InputError, Location

MEDIA_TYPE = "application/vnd.maestro.secret-scan+json"
State = Literal["clean", "findings", "not_scanned"]


@dataclass(frozen=True, slots=True)
class SecretFinding:
    """A place that seems to hold a secret.

    Args:
        line: from 1.
        type: what it seems to be (``AWS Access Key``).
        fingerprint: of the secret, its type and its file, 64 hexadecimal digits; stays when lines move.
        scanner: who found it.
    """

    file: str
    line: int
    type: str
    fingerprint: str
    scanner: str


@dataclass(frozen=True, slots=True)
class SecretReport:
    """What a search found.

    Args:
        state: ``clean`` only when every scanner ran and every file was read.
        scanners: name -> version.
        files: how many were looked at.
        known: findings that stand in the baseline.
        unread: (file, reason).
    """

    state: State
    reason: str | None
    scanners: Mapping[str, str]
    scanned_at: str
    files: int = 0
    findings: tuple[SecretFinding, ...] = ()
    known: int = 0
    unread: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return {
            "schema": 1,
            "state": self.state,
            "reason": self.reason,
            "scanners": [{"name": name, "version": version} for name, version in self.scanners.items()],
            "scanned_at": self.scanned_at,
            "files": self.files,
            "findings": [asdict(one) for one in self.findings],
            "known": self.known,
            "unread": [{"file": file, "reason": reason} for file, reason in self.unread],
        }


def fingerprint(file: str, kind: str, hashed: str) -> str:
    """Names a finding without its secret."""
    return hashlib.sha256(f"{kind}\0{file}\0{hashed}".encode("utf-8", "surrogateescape")).hexdigest()


def read_baseline(place: Path, name: str) -> frozenset[str]:
    """Fingerprints of what a baseline of detect-secrets holds, but what was audited to be a secret.

    Raises:
        InputError: it cannot be read.
    """
    try:
        results = json.loads(place.read_bytes())["results"]
        return frozenset(
            fingerprint(file, one["type"], one["hashed_secret"])
            for file, found in results.items()
            for one in found
            if one.get("is_secret") is not True
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "this is no baseline of detect-secrets",
            where=Location(name),
            next_step=f"make one with `detect-secrets scan > {name}`",
        ) from error
