"""Step kind ``attest.provenance``: asks Maestro to sign how things were built, and from what."""

from __future__ import annotations

from pydantic import Field

from maestro.artifacts import Claim
from maestro.evidence.types import SLSA_PROVENANCE
from maestro.steps import BaseParams, StepContext, StepKind, StepResult


class ProvenanceParams(BaseParams):
    """Parameters of ``attest.provenance``."""

    of: list[str] | None = Field(
        None,
        min_length=1,
        description="Ids of the steps whose deliveries are attested; every step before this one when not given.",
    )


def _run(context: StepContext, params: ProvenanceParams) -> StepResult:
    wanted = set(params.of or ())
    chosen = {
        name: record
        for name, record in context.records.items()
        if record.subjects and (not wanted or {name, name.partition("/")[2], name.split("/")[1]} & wanted)
    }
    unknown = wanted - {part for name in chosen for part in (name, name.partition("/")[2], name.split("/")[1])}
    if unknown:
        return StepResult(passed=False, summary=f"nothing was delivered by {', '.join(sorted(unknown))}")
    if not chosen:
        return StepResult(passed=False, summary="no step before this one has delivered anything")
    claims = [Claim("provenance", SLSA_PROVENANCE, record.subjects, of_step=name) for name, record in chosen.items()]
    rows = [
        {"subject": one.name, "digest": ":".join(next(iter(one.digest.items()))), "made by": name}
        for name, record in chosen.items()
        for one in record.subjects
    ]
    count = len(rows)
    return StepResult(
        summary=f"provenance of {count} {'subject' if count == 1 else 'subjects'}",
        claims=claims,
        metadata={"subjects": rows},
    )


ATTEST_PROVENANCE = StepKind(
    name="attest.provenance",
    version="1",
    params=ProvenanceParams,
    run=_run,
    summary="Signs SLSA v1 provenance of what the steps before it have delivered.",
    describe=lambda params: f"Signs the provenance of {', '.join(params.of) if params.of else 'what was delivered'}.",
    dagster_kinds=("attestation",),
    cached=lambda _params: False,
    confined=True,
)
