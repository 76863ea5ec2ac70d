"""What a gate shows to policy: only what is signed, verified and of this revision; what is missing, as missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from maestro.artifacts import RecordError, StepRecord, Subject
from maestro.errors import MaestroError
from maestro.evidence.desk import EvidenceDesk
from maestro.evidence.index import Entry
from maestro.evidence.issue import digest_of
from maestro.evidence.types import EVIDENCE_TYPES
from maestro.evidence.verify import EvidenceStatus
from maestro.signing.origin import write_seconds

_MOST_NAMES = 50
_Statuses: TypeAlias = Callable[[str, str], list[EvidenceStatus]]


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
    statuses = _statuses(desk, question.revision)
    found = [_Looked(desk, statuses, subject, record) for subject, record in question.subjects]
    of_source = {
        name: _Said(statuses(name, digest_of(question.source)))
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
        "now": write_seconds(now),
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


def _statuses(desk: EvidenceDesk, revision: str) -> _Statuses:
    """What is known of a type of evidence and a subject; index and log are read once for all of them."""
    try:
        entries: list[Entry] | None = desk.index.of_revision(desk.project, revision)
    except RecordError:
        # Asked without entries, the verifier says of each type that the index is damaged.
        entries = None
    logged = desk.logged(revision)
    return lambda type_, subject: desk.verifier.statuses(type_, subject, revision, entries, logged)


class _Said:
    """What all steps say about one thing in one type of evidence."""

    def __init__(self, found: Sequence[EvidenceStatus]) -> None:
        self.all = found

    @property
    def status(self) -> EvidenceStatus:
        """One that does not hold, if any; else the newest."""
        return next((one for one in self.all if one.state != "verified"), self.all[-1])

    def to_input(self, now: datetime) -> dict[str, Any]:
        """As policies see it: as old as the oldest of them."""
        ages = [age for one in self.all if (age := one.age_hours(now)) is not None]
        return {**self.status.to_input(now), "age_hours": max(ages, default=None)}


class _Looked:
    """One subject and what is known of it."""

    def __init__(self, desk: EvidenceDesk, statuses: _Statuses, subject: Subject, record: StepRecord) -> None:
        self.subject = subject
        self.digest = digest_of(subject)
        self.record = record
        self.evidence = {
            name: _Said(statuses(name, self.digest))
            for name, one in EVIDENCE_TYPES.items()
            if one.scope == "artifact" and name != "decision"
        }
        quarantined = desk.quarantine.of(self.digest)
        self.quarantined = None if quarantined is None else quarantined.to_json()

    def to_input(self, now: datetime) -> dict[str, Any]:
        """As policies see it."""
        builders = sorted({_builder(one) for one in self.evidence["provenance"].all if one.verified is not None})
        # A rule allows builders one by one; two that disagree are no builder anybody allows.
        builder = ", ".join(builders) or None
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


def _builder(status: EvidenceStatus) -> str:
    assert status.verified is not None
    details = status.verified.statement.predicate.get("runDetails")
    builder = details.get("builder") if isinstance(details, dict) else None
    return str(builder.get("id")) if isinstance(builder, dict) else "unknown"


def report_of(desk: EvidenceDesk, status: EvidenceStatus) -> dict[str, Any] | None:
    """The whole report a verified statement names by digest; None when there is none that can be believed."""
    if status.verified is None or status.origin is None or status.origin.report is None:
        return None
    try:
        document = json.loads(desk.store.get_bytes(status.origin.report.removeprefix("sha256:")))
    except (MaestroError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _reports(desk: EvidenceDesk, said: _Said) -> list[dict[str, Any]]:
    """The report of each step's statement; of one that does not hold, a report that nothing was looked at."""
    return [
        report_of(desk, one)
        or {"state": "not_scanned", "reason": one.reason or "its statement names no report that can be read"}
        for one in said.all
    ]


_WORST = ("clean", "findings")


def _state(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``state`` and ``reason`` of the worst of them; a state nobody knows is none."""
    known = [one for one in reports if one.get("state") not in _WORST]
    worst = known[0] if known else max(reports, key=lambda one: _WORST.index(str(one["state"])))
    state = worst.get("state") if worst.get("state") in _WORST else "not_scanned"
    return {"state": state, "reason": worst.get("reason")}


def _listed(reports: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """All entries of a list of every report, each once."""
    every = [one for report in reports for one in report.get(name) or () if isinstance(one, dict)]
    return list({json.dumps(one, sort_keys=True): one for one in every}.values())


def _vulnerabilities(desk: EvidenceDesk, looked: _Looked, now: datetime) -> dict[str, Any]:
    reports = _reports(desk, looked.evidence["vulnerabilities"])
    databases = [one["database"] for one in reports if isinstance(one.get("database"), dict)]
    # The oldest database is the one that may have missed something; one without a date is older than any.
    dated = [(_hours(one.get("modified"), now), one) for one in databases]
    oldest = max(dated, key=lambda one: (one[0] is None, one[0] or 0.0), default=None)
    return {
        "subject": looked.digest,
        **_state(reports),
        "database": None if oldest is None else {"digest": oldest[1].get("digest"), "age_hours": oldest[0]},
        "unscanned": _listed(reports, "unscanned"),
        "findings": [
            {**one, "days_known": _days(one.get("published"), now), "waived": False, "waiver": None}
            for one in _listed(reports, "findings")
        ],
    }


def _secrets(desk: EvidenceDesk, said: _Said) -> dict[str, Any] | None:
    if said.status.state == "missing":
        return None
    reports = _reports(desk, said)
    return {
        **_state(reports),
        "findings": [{**one, "waived": False, "waiver": None} for one in _listed(reports, "findings")],
    }


def _licenses(desk: EvidenceDesk, looked: _Looked) -> dict[str, Any]:
    reports = _reports(desk, looked.evidence["licenses"])
    return {"subject": looked.digest, **_state(reports), "components": _listed(reports, "components")}


def _tests(said: _Said) -> dict[str, Any] | None:
    """Of every step that tested: the sum, and passed only when each has."""
    predicates = [one.verified.statement.predicate for one in said.all if one.verified is not None]
    if not predicates or len(predicates) < len(said.all):
        return None
    failed = [name for one in predicates for name in one.get("failedTests") or [] if isinstance(name, str)]
    passed = all(one.get("result") == "PASSED" for one in predicates)
    return {
        "result": "PASSED" if passed else "FAILED",
        "passed": sum(_count(one, "passed", "passedTests") for one in predicates),
        "failed": sum(_count(one, "failed", "failedTests") for one in predicates),
        "skipped": sum(_count(one, "skipped", "skippedTests") for one in predicates),
        "failed_tests": failed[:_MOST_NAMES],
    }


def _count(predicate: Mapping[str, Any], name: str, names: str) -> int:
    counts = predicate.get("counts")
    count = counts.get(name) if isinstance(counts, dict) else None
    listed = predicate.get(names)
    return count if isinstance(count, int) else len(listed) if isinstance(listed, list) else 0


def _promotion(desk: EvidenceDesk, question: GateQuestion) -> dict[str, Any] | None:
    """What earlier gates have decided about the same bytes, by their verified statements."""
    if question.promoted_from is None:
        return None
    history = []
    for subject, _record in question.subjects:
        for entry in desk.index.of_subject(digest_of(subject)):
            if entry.type != "decision" or entry.project != desk.project:
                continue
            status = desk.verifier.check_entry(entry)
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
