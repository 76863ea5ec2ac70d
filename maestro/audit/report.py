"""What verifying a log found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "edited", "dropped", "reordered", "inserted", "truncated", "rewritten", "hash", "head", "checkpoint", "forked"
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written.

    Args:
        kind: ``edited`` … ``rewritten`` are rows; ``hash`` is a stored hash over rows that are sound themselves;
            ``head`` and ``checkpoint`` are signatures; ``forked`` is two signed logs.
        first: the first row concerned; None when it is about no row.
        last: the last one.
        what: one sentence.
    """

    kind: Kind
    first: int | None
    last: int | None
    what: str

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": self.kind, "first": self.first, "last": self.last, "what": self.what}


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The outcome of ``AuditLog.verify``.

    Args:
        size: rows there should be, by the largest size that was signed.
        root: the Merkle tree hash recomputed over the rows; None when rows are missing.
        checkpoints: signed roots the rows were compared with, the head's among them.
        findings: empty when the log is as it was written.
        warnings: what weakens the log without being a change of it.
    """

    origin: str
    size: int
    root: bytes | None
    checkpoints: int
    findings: Sequence[Finding]
    warnings: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether every row is as it was written."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ok": self.ok,
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex() if self.root is not None else None,
            "checkpoints": self.checkpoints,
            "findings": [one.to_json() for one in self.findings],
            "warnings": list(self.warnings),
        }


def rows_named(first: int, last: int) -> str:
    """``row 5`` or ``rows 5 to 9``."""
    return f"row {first}" if first == last else f"rows {first} to {last}"
