"""What a gate shows to policy: only what is signed, verified and of this revision; what is missing, as missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from maestro.artifacts import StepRecord, Subject
from maestro.errors import MaestroError
from maestro.evidence.desk import EvidenceDesk
from maestro.evidence.issue import digest_of
from maestro.evidence.types import EVIDENCE_TYPES
from maestro.evidence.verify import EvidenceStatus, origin_of

_MOST_NAMES = 50


@dataclass(frozen=True, slots=True)
class GateQuestion:
    """What is asked.

    Args:
        workflow: name of the workflow.
        revision: of the source.
        run_id: the run that asks.
        source: the revision as a subject.
        subjects: what was delivered, each with the step that made it.
        required: evidence types of the project's contract.
        environment: what is delivered to.
        promoted_from: the environment it comes from; None: not a promotion.
        freeze: windows in which nothing goes on, as the policy package ``change_freeze`` has them.
        config: of the policy package.
    """

    workflow: str
    revision: str
    run_id: str
    source: Subject
    subjects: Sequence[tuple[Subject, StepRecord]]
    required: Sequence[str]
    environment: str
    promoted_from: str | None = None
    freeze: Sequence[Mapping[str, Any]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def gate_input(desk: EvidenceDesk, question: GateQuestion) -> dict[str, Any]:
    """The ``input`` document of every policy package (docs/policies.md)."""
    now = desk.now()
    found = [_Looked(desk, question.revision, subject, record) for subject, record in question.subjects]
    of_source = {
        name: desk.status(name, question.source, question.revision)
        for name, one in EVIDENCE_TYPES.items()
        if one.scope == "source"
    }
    return {
        "project": desk.project,
        "workflow": question.workflow,
        "tenant": desk.policy.tenant,
        "environment": question.environment,
        "revision": question.revision,
        "run_id": question.run_id,
        "now": _rfc3339(now),
        "user": {"name": desk.actor, "groups": []},
        "required": list(question.required),
        "subjects": [one.to_input(now) for one in found],
        "source": {
            "digest": dict(question.source.digest),
            "evidence": {name: status.to_input(now) for name, status in of_source.items()},
        },
        "vulnerabilities": [_vulnerabilities(desk, one, now) for one in found],
        "secrets": _secrets(desk, of_source["secrets"]),
        "licenses": [_licenses(desk, one) for one in found],
        "tests": _tests(of_source["test-report"]),
        "promotion": _promotion(desk, question),
        "freeze": [dict(one) for one in question.freeze],
        "config": dict(question.config),
    }


class _Looked:
    """One subject and what is known of it."""

    def __init__(self, desk: EvidenceDesk, revision: str, subject: Subject, record: StepRecord) -> None:
        self.subject = subject
        self.digest = digest_of(subject)
        self.record = record
        self.evidence = {
            name: desk.status(name, subject, revision)
            for name, one in EVIDENCE_TYPES.items()
            if one.scope == "artifact" and name != "decision"
        }
        try:
            quarantined = desk.quarantine.of(self.digest)
            self.quarantined = None if quarantined is None else quarantined.to_json()
        except MaestroError as error:
            self.quarantined = {"reason": error.what, "by": "maestro", "at": _rfc3339(desk.now())}

    def to_input(self, now: datetime) -> dict[str, Any]:
        """As policies see it."""
        provenance = self.evidence["provenance"].verified
        builder = None
        if provenance is not None:
            details = provenance.statement.predicate.get("runDetails")
            builder = details.get("builder", {}).get("id") if isinstance(details, dict) else None
        return {
            "name": self.subject.name,
            "digest": self.digest,
            "kind": _kind(self.subject),
            "uri": self.subject.uri,
            "registry": _registry(self.subject),
            "builder": builder,
            "step": self.record.step,
            "quarantined": self.quarantined,
            "evidence": {name: status.to_input(now) for name, status in self.evidence.items()},
        }


def report_of(desk: EvidenceDesk, status: EvidenceStatus) -> dict[str, Any] | None:
    """The whole report a verified statement names by digest; None when there is none that can be believed."""
    origin = None if status.verified is None else origin_of(status.verified)
    if origin is None or origin.report is None:
        return None
    try:
        document = json.loads(desk.store.get_bytes(origin.report.removeprefix("sha256:")))
    except (MaestroError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _not_scanned(status: EvidenceStatus) -> str:
    return status.reason or "its statement names no report that can be read"


def _vulnerabilities(desk: EvidenceDesk, looked: _Looked, now: datetime) -> dict[str, Any]:
    status = looked.evidence["vulnerabilities"]
    report = report_of(desk, status)
    if report is None:
        reason = _not_scanned(status)
        return {
            "subject": looked.digest,
            "state": "not_scanned",
            "reason": reason,
            "database": None,
            "unscanned": [],
            "findings": [],
        }
    database = report.get("database")
    return {
        "subject": looked.digest,
        "state": report.get("state", "not_scanned"),
        "reason": report.get("reason"),
        "database": None
        if not database
        else {"digest": database.get("digest"), "age_hours": _hours(database.get("modified"), now)},
        "unscanned": report.get("unscanned", []),
        "findings": [
            {**one, "days_known": _days(one.get("published"), now), "waived": False, "waiver": None}
            for one in report.get("findings", [])
        ],
    }


def _secrets(desk: EvidenceDesk, status: EvidenceStatus) -> dict[str, Any] | None:
    if status.state == "missing":
        return None
    report = report_of(desk, status)
    if report is None:
        return {"state": "not_scanned", "reason": _not_scanned(status), "findings": []}
    return {
        "state": report.get("state", "not_scanned"),
        "reason": report.get("reason"),
        "findings": [{**one, "waived": False, "waiver": None} for one in report.get("findings", [])],
    }


def _licenses(desk: EvidenceDesk, looked: _Looked) -> dict[str, Any]:
    status = looked.evidence["licenses"]
    report = report_of(desk, status)
    if report is None:
        return {"subject": looked.digest, "state": "not_scanned", "reason": _not_scanned(status), "components": []}
    return {
        "subject": looked.digest,
        "state": report.get("state", "not_scanned"),
        "reason": report.get("reason"),
        "components": report.get("components", []),
    }


def _tests(status: EvidenceStatus) -> dict[str, Any] | None:
    if status.verified is None:
        return None
    predicate = status.verified.statement.predicate
    failed = [one for one in predicate.get("failedTests") or [] if isinstance(one, str)]
    counts = predicate.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    return {
        "result": predicate.get("result"),
        "passed": counts.get("passed", len(predicate.get("passedTests") or [])),
        "failed": counts.get("failed", len(failed)),
        "skipped": counts.get("skipped", 0),
        "failed_tests": failed[:_MOST_NAMES],
    }


def _promotion(desk: EvidenceDesk, question: GateQuestion) -> dict[str, Any] | None:
    """What earlier gates have decided about the same bytes, by their verified statements."""
    if question.promoted_from is None:
        return None
    history = []
    for subject, _record in question.subjects:
        for entry in desk.index.of_subject(digest_of(subject)):
            if entry.type != "decision" or entry.project != desk.project:
                continue
            status = desk.verifier.check(entry.bundle, "decision", digest_of(subject), entry.revision, entry)
            if status.verified is None:
                continue
            said = status.verified.statement.predicate
            history.append(
                {
                    "subject": digest_of(subject),
                    "environment": said.get("environment"),
                    "at": said.get("at"),
                    "allowed": said.get("allow") is True,
                    "decision": said.get("id"),
                }
            )
    return {"from": question.promoted_from, "to": question.environment, "history": history}


def _kind(subject: Subject) -> str:
    media_type = subject.media_type or ""
    if "image.manifest" in media_type or "image.index" in media_type:
        return "image"
    return "package" if subject.name.endswith((".whl", ".tar.gz", ".tgz")) else "file"


def _registry(subject: Subject) -> str | None:
    if subject.uri is None or not subject.uri.startswith("docker://"):
        return None
    return subject.uri.removeprefix("docker://").split("/", 1)[0]


def _hours(text: object, now: datetime) -> float | None:
    if not isinstance(text, str):
        return None
    try:
        return max(0.0, (now - datetime.fromisoformat(text)).total_seconds() / 3600)
    except (ValueError, TypeError):
        return None


def _days(text: object, now: datetime) -> float | None:
    hours = _hours(text, now)
    return None if hours is None else hours / 24


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
