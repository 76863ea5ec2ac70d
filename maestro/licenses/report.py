"""What a look at licences leaves behind: a report with every component, and a summary that is signed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from maestro.licenses.allowance import Allowance, for_policy

MEDIA_TYPE = "application/vnd.maestro.licenses+json"
PREDICATE = "https://maestro.example/attestation/license-check/v1"

State: TypeAlias = Literal["clean", "findings"]

_MOST_NAMED = 100


@dataclass(frozen=True, slots=True)
class LicenseReport:
    """The licences of one subject.

    Args:
        subject: name and digest (``sha256:…``; None for the source).
        state: ``clean`` or ``findings``.
        allowance: what was allowed.
        components: as :func:`maestro.licenses.allowance.for_policy` gives them, sorted.
    """

    subject: tuple[str, str | None]
    state: State
    allowance: Allowance
    components: tuple[Mapping[str, Any], ...]

    @property
    def violations(self) -> tuple[Mapping[str, Any], ...]:
        """Components that are not allowed."""
        return tuple(one for one in self.components if not one["allowed"])

    def to_json(self) -> dict[str, Any]:
        """The report: schema 1."""
        return {
            "schema": 1,
            "state": self.state,
            "reason": None,
            "subject": {"name": self.subject[0], "digest": self.subject[1]},
            "allowed": list(self.allowance.expressions),
            "allow_unknown": self.allowance.unknown,
            "components": [dict(one) for one in self.components],
        }

    def encoded(self) -> bytes:
        """The report as bytes, the same for the same content."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"

    def predicate(self) -> dict[str, Any]:
        """The summary for a statement: counts, and the first violations by name."""
        found = self.violations
        return {
            "state": self.state,
            "allowed": list(self.allowance.expressions),
            "allowUnknown": self.allowance.unknown,
            "components": len(self.components),
            "violations": len(found),
            "named": [
                {"purl": one["purl"], "name": one["name"], "version": one["version"], "license": one["license"]}
                for one in found[:_MOST_NAMED]
            ],
        }


def check(
    subject: tuple[str, str | None], components: Iterable[Mapping[str, Any]], allowance: Allowance
) -> LicenseReport:
    """Look at the components of one subject; one that is made of nothing else is clean."""
    listed = sorted(
        for_policy(components, allowance), key=lambda one: (one["name"], one["version"] or "", one["purl"] or "")
    )
    state: State = "clean" if all(one["allowed"] for one in listed) else "findings"
    return LicenseReport(subject, state, allowance, tuple(listed))
