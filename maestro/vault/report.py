"""What a probe found out about a server, and the file it is remembered in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from maestro.artifacts import durable

_SCHEMA = 1
# A server that failed may have been put right since; each look costs seconds, so not at every command either.
_FAILED_IS_FRESH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ProbeCheck:
    """One thing a server must or must not do.

    Args:
        name: what was tried, such as ``delete a locked version``.
        expected: ``refused`` or ``accepted``, or the state that must be found.
        got: what the server did.
        passed: it did what is expected.
    """

    name: str
    expected: str
    got: str
    passed: bool


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """The contract of one server with one bucket, as tried out.

    Args:
        vault: the address.
        at: when, in UTC.
        checks: every one, in the order they were made.
        features: what is of use but not needed: ``conditional_writes`` (If-None-Match), ``checksums`` (SHA-256).
    """

    vault: str
    at: datetime
    checks: tuple[ProbeCheck, ...]
    features: Mapping[str, bool]

    @property
    def passed(self) -> bool:
        """Every check passed, and there were some."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[ProbeCheck, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def text(self) -> str:
        """One line for people: what the server is, or what it let happen."""
        if self.passed:
            return f"{self.vault} enforces Object Lock: {len(self.checks)} checks passed on {self.at:%Y-%m-%d}"
        if not self.checks:
            return f"{self.vault} is not immutable"
        shown = "; ".join(f"{check.name}: {check.got}, not {check.expected}" for check in self.failed[:2])
        more = f"; and {len(self.failed) - 2} more" if len(self.failed) > 2 else ""
        return f"{self.vault} does not enforce Object Lock ({shown}{more})"

    def is_fresh(self, now: datetime, good_for: timedelta) -> bool:
        """It need not be made again yet."""
        return timedelta(0) <= now - self.at < (good_for if self.passed else min(good_for, _FAILED_IS_FRESH))

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {
            "schema": _SCHEMA,
            "vault": self.vault,
            "at": self.at.astimezone(UTC).isoformat(),
            "passed": self.passed,
            "checks": [
                {"name": check.name, "expected": check.expected, "got": check.got, "passed": check.passed}
                for check in self.checks
            ],
            "features": dict(self.features),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ProbeReport:
        """The report ``document`` describes. Raises KeyError, TypeError or ValueError when it describes none."""
        if document["schema"] != _SCHEMA:
            raise ValueError("another schema")
        at = datetime.fromisoformat(document["at"])
        if at.tzinfo is None:
            raise ValueError("no time zone")
        checks = tuple(
            ProbeCheck(str(one["name"]), str(one["expected"]), str(one["got"]), one["passed"] is True)
            for one in document["checks"]
        )
        return cls(str(document["vault"]), at, checks, dict(document["features"]))


def remember(folder: Path, report: ProbeReport) -> None:
    """Keep ``report`` in ``folder``, in place of an older one of the same vault."""
    data = json.dumps(report.to_json(), indent=2).encode()
    durable.replace(_file(folder, report.vault), data, folder / "staging")


def recall(folder: Path, vault: str) -> ProbeReport | None:
    """The report kept for ``vault``; None when there is none that can be read."""
    try:
        report = ProbeReport.from_json(json.loads(_file(folder, vault).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return report if report.vault == vault else None


def _file(folder: Path, vault: str) -> Path:
    return folder / f"{hashlib.sha256(vault.encode()).hexdigest()[:32]}.json"
