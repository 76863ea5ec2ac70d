"""Errors of evidence."""

from __future__ import annotations

from maestro.errors import MaestroError


class EvidenceError(MaestroError):
    """Evidence could not be made, kept or read."""


class QuarantinedError(EvidenceError):
    """Something must not be used: its evidence is missing or does not verify, or a person has set it aside.

    Args:
        digest: ``<algorithm>:<hex>`` of it.
        step: the step that made it.
        reason: which statement failed, and why.
    """

    def __init__(self, what: str, *, digest: str, step: str, reason: str, next_step: str) -> None:
        super().__init__(what, next_step=next_step)
        self.digest = digest
        self.step = step
        self.reason = reason
