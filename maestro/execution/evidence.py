"""What a step has to do with evidence: nothing unverified is used, and what it claims is signed.

What deals with evidence is imported once there is some: most steps have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from maestro.artifacts import Claim, StepRecord
from maestro.evidence.errors import EvidenceError
from maestro.evidence.types import DELIVERY
from maestro.execution.errors import StepError
from maestro.execution.session import RunSession
from maestro.steps import StepKind
from maestro.workflow.graph import Node

GATE = "gate"


def with_evidence(session: RunSession, record: StepRecord) -> StepRecord:
    """``record`` with its claims signed for this revision.

    Raises:
        StepError: there are claims, and nothing to sign them with.
    """
    if record.subjects and not record.claims and session.open_desk is not None:
        record = replace(record, claims=(delivery(record),))
    if session.request.untrusted:
        return replace(record, claims=(), evidence=())
    if not record.claims:
        return replace(record, evidence=()) if record.evidence else record
    desk = session.desk
    if desk is None:
        raise StepError(
            f"step '{record.step}' makes claims that cannot be signed here",
            next_step="run it with `maestro run`",
        )
    from maestro.evidence.issue import IssueContext

    context = IssueContext(
        source=session.source,
        upstream_of=lambda name: session.records_before(session.graph[name]),
        record_of=session.record_of,
        actor=desk.actor,
    )
    return desk.issue(record, context)


def delivery(record: StepRecord) -> Claim:
    """What Maestro itself says of a step that delivers and makes no claim: without it nothing signed would bind the
    record, and whoever can write to the store could put another result into the cache."""
    predicate = {
        "kind": f"{record.kind} {record.kind_version}",
        "cache_key": record.cache_key,
        "outputs": [{"name": one.name, "digest": {"sha256": one.sha256}} for one in record.outputs],
    }
    return Claim("delivery", DELIVERY, record.subjects, predicate)


def unsigned_hit(session: RunSession, found: StepRecord, key: str) -> str | None:
    """Why a cached record that delivers or makes claims must not be used; None when it may be, or does neither."""
    desk = session.desk if found.subjects or found.claims or found.evidence else None
    return None if desk is None else desk.use.why_not_cached(found, key)


def check_upstream(session: RunSession, node: Node, kind: StepKind[Any], records: Mapping[str, StepRecord]) -> None:
    """Lets ``node`` use what the steps before it left behind, or says why not.

    Every statement about what it would use must verify. Behind a gate, and for a step with effects outside, the
    project's contract must hold as well. A gate itself is let through: that evidence is bad or missing is what it is
    asked to say.

    Raises:
        EvidenceError: a gate has not let it through.
        QuarantinedError: a statement is missing or does not verify, or a person has set something aside.
    """
    if session.open_desk is None or kind.name == GATE or node.final:
        return
    # By the workflow, since whoever can write to the store can change what a record says it is, or take it away.
    before = session.graph.ancestors([node.name]) - {node.name}
    for name in sorted(one for one in before if session.graph[one].step.run == GATE):
        _refuse_closed(session, name, records.get(name))
    gates = {name: one for name, one in records.items() if session.graph[name].step.run == GATE}
    used = {name: one for name, one in records.items() if one.subjects or one.claims or one.evidence}
    required = session.loaded.workflow.required_evidence
    held = bool(required) and (bool(gates) or node.step.has_effects or kind.effects)
    desk = session.desk if used or held else None
    if desk is None:
        return
    from maestro.evidence.agreement import check_newest
    from maestro.evidence.contract import Contract

    revision = session.revision.id
    desk.use.check(records, session.source, revision=revision)
    for name, record in gates.items():
        check_newest(name, record, desk.logged(revision))
    if held:
        desk.use.check_contract(Contract(tuple(required)), used, gates, session.source, revision=revision)


def _refuse_closed(session: RunSession, name: str, record: StepRecord | None) -> None:
    """A gate that has denied, or has not been asked, lets nothing through, not one step alone either."""
    if record is None:
        gate = session.graph[name]
        if session.resolver.wanted(gate, session.scope(gate)) is not None:
            return
        raise EvidenceError(
            f"gate '{name}' has not been asked whether revision {session.revision.id} may go on",
            next_step=f"ask it: maestro run {name}",
        )
    from maestro.evidence.agreement import DECISION

    decided = any(one.type == DECISION for one in record.claims)
    if decided and (record.passed or session.graph[name].step.continue_on_error):
        return
    # Not a StepError: a retry would find the same gate.
    raise EvidenceError(
        f"gate '{name}' has not let this revision through: {record.summary if decided else 'it has decided nothing'}",
        next_step=f"see why in the log of '{name}'; change that, then run it again: maestro run {name}",
    )
