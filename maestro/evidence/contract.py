"""The evidence a project requires of each revision."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.evidence.types import Scope, evidence_type


@dataclass(frozen=True, slots=True)
class Contract:
    """Evidence types that must be there and verify.

    Args:
        required: names of evidence types.
    """

    required: tuple[str, ...]

    def of(self, scope: Scope) -> tuple[str, ...]:
        """Those about everything delivered (``artifact``), or about the revision (``source``)."""
        return tuple(name for name in self.required if evidence_type(name).scope == scope)
