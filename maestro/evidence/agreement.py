"""Holds what a step has delivered against what the signed statements of later steps say it has.

The statement of a step itself binds its record. But a record can be replaced by an earlier one of the same revision,
with its statement. Its provenance and the decision of a gate name it and what it had delivered when they were signed.
Of a gate only the newest decision counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from maestro.artifacts import Claim, StepRecord
from maestro.evidence.errors import EvidenceError
from maestro.evidence.issue import digest_of
from maestro.evidence.logged import Logged

DECISION = "decision"
JUDGED = "judged"
"""Member of a decision's predicate: step name -> ``<algorithm>:<hex>`` of everything it had delivered."""


def check_agreement(records: Mapping[str, StepRecord]) -> None:
    """Raises EvidenceError when a step has delivered something else than a later step has signed.

    Args:
        records: step name -> record; their claims were verified before.
    """
    for name, record in records.items():
        for position, claim in enumerate(record.claims):
            for step, said in _said(claim):
                about = records.get(step)
                if about is None:
                    continue
                has = sorted(digest_of(one) for one in about.subjects)
                if has != sorted(said):
                    raise EvidenceError(
                        f"the {claim.type} statement{_bundle(record, position)} of step '{name}' is about "
                        f"{_listed(said)} of step '{step}', which has delivered {_listed(has)}",
                        next_step=f"if '{step}' was made again, run '{name}' again: maestro run {name}; "
                        "if not, find out who changed its record",
                    )


def check_newest(name: str, gate: StepRecord, logged: Iterable[Logged]) -> None:
    """Raises EvidenceError when a gate has decided again since, so that no earlier decision can be put back.

    Args:
        name: of the gate.
        logged: what was signed for the revision, oldest first.
    """
    decided = [one for one in logged if one.step == name and one.type == DECISION]
    if decided and decided[-1].bundle not in {one.sha256 for one in gate.evidence}:
        raise EvidenceError(
            f"gate '{name}' has decided again since: its newest decision statement sha256:{decided[-1].bundle} (row "
            f"{decided[-1].row} of the audit log) is not the one its record has",
            next_step=f"run it again: maestro run {name}; find out who put an earlier record back",
        )


def _said(claim: Claim) -> Iterator[tuple[str, list[str]]]:
    """Step and what a claim says it has delivered."""
    if claim.of_step is not None:
        yield claim.of_step, [digest_of(one) for one in claim.subjects]
    judged = (claim.predicate or {}).get(JUDGED) if claim.type == DECISION else None
    for step, digests in judged.items() if isinstance(judged, dict) else ():
        yield step, [str(one) for one in digests]


def _bundle(record: StepRecord, position: int) -> str:
    return f" sha256:{record.evidence[position].sha256}" if position < len(record.evidence) else ""


def _listed(digests: list[str]) -> str:
    return ", ".join(digests) or "nothing"
