"""Step kind ``gate``: asks policy whether what was delivered may go on, and keeps the answer with its reasons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field

from maestro.artifacts import Claim, StepRecord, Subject
from maestro.errors import InputError
from maestro.evidence.agreement import JUDGED
from maestro.evidence.issue import digest_of
from maestro.evidence.types import DECISION
from maestro.steps import BaseParams, StepContext, StepKind, StepResult

if TYPE_CHECKING:
    from maestro.policy import Decision

_POLICY = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"
_MOST_ROWS = 200


class FreezeWindow(BaseParams):
    """A time in which nothing goes on."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str = Field(min_length=1, description="What it is called.")
    from_: str = Field(alias="from", description="Beginning, RFC 3339.")
    to: str = Field(description="End, RFC 3339.")
    environments: list[str] = Field(default_factory=list, description="Environments it is about; all when empty.")
    reason: str = Field("", description="Why.")


class GateParams(BaseParams):
    """Parameters of ``gate``."""

    policy: str = Field(pattern=_POLICY, description="Package and rule, like `supply_chain.release`.")
    subjects: list[str] | None = Field(
        None, min_length=1, description="Ids of the steps whose deliveries are judged; all before it when not given."
    )
    config: dict[str, Any] = Field(default_factory=dict, description="Settings of the policy package.")
    environment: str | None = Field(None, description="What is delivered to; the profile's environment if not given.")
    promote_from: str | None = Field(None, description="The environment it comes from, for promotion policies.")
    freeze: list[FreezeWindow] = Field(default_factory=list, description="Windows for `change_freeze` policies.")


def _run(context: StepContext, params: GateParams) -> StepResult:
    from maestro.evidence.gate_input import GateQuestion, gate_input

    desk = context.evidence
    if desk is None:
        raise InputError("a gate needs the evidence of a project", next_step="run it with `maestro run`")
    subjects = _subjects(context.records, params.subjects)
    question = GateQuestion(
        workflow=context.workflow,
        revision=context.revision,
        run_id=context.env.get("MAESTRO_RUN_ID", ""),
        source=context.source,
        subjects=subjects,
        required=context.required_evidence,
        environment=params.environment or desk.policy.environment,
        promoted_from=params.promote_from,
        freeze=[one.model_dump(by_alias=True) for one in params.freeze],
        config=params.config,
    )
    document = desk.with_waivers(gate_input(desk, question))
    decision = desk.decide(params.policy, document)
    return _result(context, decision, document, subjects)


def _subjects(records: Mapping[str, StepRecord], wanted: list[str] | None) -> list[tuple[Subject, StepRecord]]:
    delivering = {name: record for name, record in records.items() if record.subjects}
    if wanted is not None:
        known = {one: name for name in delivering for one in (name, name.partition("/")[2], name.split("/")[1])}
        unknown = [one for one in wanted if one not in known]
        if unknown:
            raise InputError(
                f"no step '{unknown[0]}' before the gate has delivered anything",
                next_step=f"choose among {', '.join(sorted(delivering)) or 'steps that deliver'}, under 'subjects'",
            )
        chosen = {known[one] for one in wanted}
        delivering = {name: record for name, record in delivering.items() if name in chosen}
    return [(subject, record) for record in delivering.values() for subject in record.subjects]


def _result(
    context: StepContext,
    decision: Decision,
    document: Mapping[str, Any],
    judged: Sequence[tuple[Subject, StepRecord]],
) -> StepResult:
    made = decision.to_json()
    delivered: dict[str, list[str]] = {}
    for subject, record in judged:
        delivered.setdefault(record.step, []).append(digest_of(subject))
    said = {**made, "environment": document["environment"], JUDGED: delivered}
    files = [
        context.artifacts.put_bytes(
            json.dumps(content, indent=1, sort_keys=True).encode() + b"\n", name=name, media_type="application/json"
        )
        for name, content in (("decision.json", made), ("input.json", document))
    ]
    context.log.info("%s; all of it: maestro policy explain %s", "allowed" if decision.allow else "denied", decision.id)
    for reason in decision.reasons:
        context.log.info("denied by %s: %s", reason.rule, reason.message)
        if reason.fix:
            context.log.info("  to change that: %s", reason.fix)
    if decision.error:
        context.log.info("denied: %s", decision.error)
    for warning in decision.warnings:
        context.log.info("warning of %s: %s", warning.rule, warning.message)
    for waiver in made["waivers"]:
        context.log.info(
            "waived by %s until %s: %s", waiver.get("approver"), waiver.get("expires"), waiver.get("reason")
        )
    return StepResult(
        passed=decision.allow,
        summary=_summary(decision),
        values={"allow": decision.allow, "decision": decision.id, "environment": document["environment"]},
        artifacts=files,
        claims=(Claim("decision", DECISION, tuple(subject for subject, _record in judged), said),),
        metadata={
            "policy": decision.policy,
            "bundle": f"{decision.bundle_version} {decision.bundle_digest}",
            "reasons": len(decision.reasons),
            "why": [_row(one) for one in made["reasons"]][:_MOST_ROWS],
            "to be allowed": [{"change": one} for one in decision.changes][:_MOST_ROWS],
            "waivers": [_flat(one) for one in made["waivers"]][:_MOST_ROWS],
            "subjects": [
                {
                    "name": one["name"],
                    "digest": one["digest"],
                    **{name: status["state"] for name, status in one["evidence"].items()},
                }
                for one in document["subjects"]
            ],
        },
    )


def _summary(decision: Decision) -> str:
    if decision.allow:
        waived = f", {len(decision.waivers)} waived" if decision.waivers else ""
        return f"allowed by {decision.policy} {decision.bundle_version}{waived}"
    if decision.error:
        return f"denied by {decision.policy}: {decision.error}"
    first = decision.reasons[0].message if decision.reasons else "no rule allowed it"
    more = f" (and {len(decision.reasons) - 1} more)" if len(decision.reasons) > 1 else ""
    return f"denied by {decision.policy}: {first}{more}"


def _row(reason: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cell(reason.get(name)) for name in ("rule", "message", "object", "actual", "allowed", "fix")}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value, sort_keys=True)


GATE = StepKind(
    name="gate",
    version="1",
    params=GateParams,
    run=_run,
    summary="Asks policy whether what was delivered may go on; says why not, and what would have to change.",
    describe=lambda params: f"Asks policy {params.policy} whether what was delivered may go on.",
    dagster_kinds=("policy",),
    check="allowed",
    cached=lambda _params: False,
)
