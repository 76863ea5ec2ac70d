"""What comparing decisions with the audit log found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["edited", "removed", "unaudited", "twice", "entry", "log"]


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something that is not as the audit log says.

    Args:
        kind: ``edited``, ``removed``: a decision is not what it was, or gone before its time; ``unaudited``: no entry
            has it; ``twice``: two entries of different batches have it; ``entry``: an entry contradicts itself;
            ``log``: the log itself is not what was signed.
        decision: None where it is about no single one.
        entry: index in the audit log; None: there is none.
        what: one sentence.
    """

    kind: Kind
    decision: str | None
    entry: int | None
    what: str

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": self.kind, "decision": self.decision, "entry": self.entry, "what": self.what}


@dataclass(frozen=True, slots=True)
class DecisionsReport:
    """What ``verify_decisions`` found.

    Args:
        entries: of the audit log, about decisions; decisions: that are as they were audited.
        expired: removed after their time, as the audit log says too.
        waiting: not audited yet, and need not be.
        repeated: entries that are a batch's second one, since whoever wrote the first ended before it noted that.
        elsewhere: name of another audit log -> how many decisions are marked as audited there; only who verifies them
            with that log knows whether they are.
    """

    entries: int
    decisions: int
    expired: int
    waiting: int
    repeated: Sequence[int]
    findings: Sequence[AuditFinding]
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything is as it was audited."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ok": self.ok,
            "entries": self.entries,
            "decisions": self.decisions,
            "expired": self.expired,
            "waiting": self.waiting,
            "repeated": list(self.repeated),
            "elsewhere": dict(self.elsewhere),
            "findings": [one.to_json() for one in self.findings],
        }
