"""From what Maestro knows of a run to its report."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from maestro.artifacts import ArtifactStore, StepRecord
from maestro.errors import MaestroError
from maestro.reporting.model import (
    Annotation,
    ComponentsReport,
    GateReason,
    GateReport,
    ReportState,
    RunReport,
    StepReport,
    TestFailure,
    TestsReport,
)
from maestro.runs.tags import DEPLOYMENT_TAG, PULL_REQUEST_TAG
from maestro.runs.view import RunState, RunView, StepView
from maestro.server.projects import RegisteredProject

_LOG_LINES = 20
_LONGEST_LINE = 300
_LARGEST_LOG = 64 * 1024 * 1024
"""Bytes; the end of a larger log is not looked for."""
_MOST_ANNOTATIONS = 200
_STATES: Mapping[RunState, ReportState] = {
    "queued": "queued",
    "running": "running",
    "cancelling": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}


def report_of(
    view: RunView,
    project: RegisteredProject,
    tags: Mapping[str, str],
    *,
    sha: str | None = None,
    url: str | None = None,
    records: Sequence[StepRecord] = (),
    store: ArtifactStore | None = None,
    components: Sequence[ComponentsReport] = (),
) -> RunReport:
    """The report of a run.

    Args:
        view: the run with its steps.
        tags: of the run.
        sha: the commit it is shown at; None: its revision.
        url: where people reach Dagster's web server; None: nowhere.
        records: what its steps did, as far as they have ended.
        store: where the logs of failed steps are; None: their ends are not shown.
        components: what differs from an earlier revision.
    """
    known = {record.step: record for record in records}
    first = next((step.step for step in view.steps if step.state == "failed"), None)
    in_order = [known[step.step] for step in view.steps if step.step in known]
    tests = tuple(one for one in map(_tests, in_order) if one is not None)
    return RunReport(
        project=project.name,
        repository=project.repository,
        provider=project.provider,
        sha=sha or view.revision,
        run_id=view.run_id,
        workflow=view.workflow,
        state=_STATES[view.state],
        created=view.created or 0.0,
        reason=view.error or "",
        url=run_url(url, view.run_id),
        pull_request=_number(tags.get(PULL_REQUEST_TAG)),
        deployment=_number(tags.get(DEPLOYMENT_TAG)),
        started=view.started,
        ended=view.ended,
        steps=tuple(_step(step, known.get(step.step), store if step.step == first else None) for step in view.steps),
        tests=tests,
        gates=tuple(one for one in map(_gate, in_order) if one is not None),
        components=tuple(components),
        annotations=_failed_lines(tests),
        compensations=view.compensations,
    )


def run_url(url: str | None, run_id: str) -> str | None:
    """Where Dagster's web server at ``url`` shows the run."""
    return None if url is None else f"{url.rstrip('/')}/runs/{quote(run_id, safe='')}"


def _step(step: StepView, record: StepRecord | None, store: ArtifactStore | None) -> StepReport:
    seconds = None if step.started is None or step.ended is None else max(0.0, step.ended - step.started)
    made_by = record.made_by_run if record is not None and record.made_by_run != record.run_id else None
    return StepReport(
        name=step.step,
        state=step.state,
        summary=step.summary or ("" if record is None or record.summary == "passed" else record.summary),
        seconds=seconds,
        made_by_run=made_by,
        log=_end_of_log(store, record) if store is not None and record is not None else (),
    )


def _end_of_log(store: ArtifactStore, record: StepRecord) -> tuple[str, ...]:
    if record.log is None or record.log.size > _LARGEST_LOG:
        return ()
    kept = b""
    try:
        for chunk in store.read_chunks(record.log.sha256):
            kept = (kept + chunk)[-_LOG_LINES * _LONGEST_LINE * 4 :]
    except MaestroError:
        # The report is for people; what is wrong with the store is told where the store is used.
        return ()
    lines = kept.decode("utf-8", errors="replace").splitlines()
    return tuple(deque((line[:_LONGEST_LINE] for line in lines if line.strip()), maxlen=_LOG_LINES))


def _tests(record: StepRecord) -> TestsReport | None:
    """What a test step counted, from its metadata; None of any other step, and of one that could not count."""
    if not record.kind.startswith("test."):
        return None
    said = record.metadata
    counts = [said.get(name) for name in ("passed", "failed", "errors", "skipped")]
    if not all(isinstance(one, int) for one in counts):
        return None
    passed, failed, errors, skipped = (int(one or 0) for one in counts)
    failures = tuple(
        TestFailure(
            name=str(one.get("name") or ""),
            file=str(one.get("file") or ""),
            line=_number(one.get("line")) or 0,
            message=str(one.get("message") or ""),
        )
        for one in _rows(said.get("failures"))
    )
    seconds = said.get("seconds")
    took = float(seconds) if isinstance(seconds, int | float) else record.seconds
    return TestsReport(record.step, passed, failed + errors, skipped, took, failures)


def _gate(record: StepRecord) -> GateReport | None:
    if record.kind != "gate":
        return None
    said = record.metadata
    reasons = tuple(
        GateReason(str(one.get("rule") or ""), str(one.get("message") or ""), str(one.get("fix") or ""))
        for one in _rows(said.get("why"))
    )
    return GateReport(
        step=record.step,
        policy=str(said.get("policy") or ""),
        allowed=record.passed,
        reasons=reasons,
        decision=str(record.values.get("decision") or ""),
        waived=len(_rows(said.get("waivers"))),
        summary=record.summary,
    )


def _failed_lines(tests: Sequence[TestsReport]) -> tuple[Annotation, ...]:
    found = [
        Annotation(one.file, one.line, one.message or "failed", title=one.name)
        for report in tests
        for one in report.failures
        if one.file and one.line and not one.file.startswith("/")
    ]
    return tuple(found[:_MOST_ANNOTATIONS])


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
