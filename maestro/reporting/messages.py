"""From a report to the messages of the outbox.

What is said of one thing is one thread: the check run of a run, the status of a commit, the comment of a pull request.
A status and a comment may be about several runs; of these the one made last counts, whichever ends last.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, TypeAlias

from maestro.github.comments import marker
from maestro.outbox import Message
from maestro.reporting.markdown import printable
from maestro.reporting.model import Annotation, ReportState, RunReport
from maestro.reporting.summary import check_summary, comment, title

Channel: TypeAlias = Literal["check_run", "status", "comment", "deployment"]
APP_CHANNELS: frozenset[Channel] = frozenset({"check_run", "comment", "deployment"})
"""What is told with a GitHub App."""
TOKEN_CHANNELS: frozenset[Channel] = frozenset({"status", "comment", "deployment"})
"""What is told with a token, which may write no check runs."""

_DESCRIPTION = 140
_ANNOTATION_TITLE = 255
_ANNOTATION_LINES = 40
_RANKS: Mapping[ReportState, int] = {
    "queued": 0,
    "running": 1,
    "succeeded": 2,
    "failed": 2,
    "cancelled": 2,
    "invalid": 2,
}
_CONCLUSIONS: Mapping[ReportState, str] = {
    "succeeded": "success",
    "failed": "failure",
    "cancelled": "cancelled",
    "invalid": "failure",
}
_STATUSES: Mapping[ReportState, str] = {
    "queued": "pending",
    "running": "pending",
    "succeeded": "success",
    "failed": "failure",
    "cancelled": "error",
    "invalid": "error",
}
_DEPLOYMENTS: Mapping[ReportState, str] = {**_STATUSES, "queued": "queued", "running": "in_progress"}
_GITLAB: Mapping[ReportState, str] = {
    "queued": "pending",
    "running": "running",
    "succeeded": "success",
    "failed": "failed",
    "cancelled": "canceled",
    "invalid": "failed",
}
_RETRY = {"label": "Retry", "description": "Goes on at the first unfinished step", "identifier": "retry"}


def report_messages(report: RunReport, channels: Collection[Channel] = APP_CHANNELS) -> list[Message]:
    """What is to be said, in the order it is to be said; nothing to a provider nobody listens at.

    Args:
        channels: how it may be said.
    """
    if report.provider == "git":
        return []
    if report.provider == "gitlab":
        made = [_gitlab_status(report)] if {"status", "check_run"} & set(channels) else []
    else:
        made = [_check_run(report)] if "check_run" in channels else []
        made += [_status(report)] if "status" in channels else []
        if report.deployment is not None and "deployment" in channels:
            made.append(_deployment(report, report.deployment))
    # Nothing new for a reader yet; a queued run says so in its check.
    if report.pull_request is not None and report.state != "queued" and "comment" in channels:
        made.append(_comment(report, report.pull_request))
    return made


def context(report: RunReport) -> str:
    """What the check or status is called at the commit."""
    return printable(f"maestro / {report.workflow}", 100)


def _check_run(report: RunReport) -> Message:
    body: dict[str, Any] = {
        "name": context(report),
        "head_sha": report.sha,
        "external_id": report.run_id,
        "status": "completed" if report.final else "in_progress" if report.state == "running" else "queued",
        "output": {"title": title(report), "summary": check_summary(report)},
        "actions": _actions(report.state),
    }
    if report.url:
        body["details_url"] = report.url
    if report.started is not None:
        body["started_at"] = _time(report.started)
    if report.final:
        body["conclusion"] = _CONCLUSIONS[report.state]
        if report.ended is not None:
            body["completed_at"] = _time(report.ended)
    annotations = [_annotation(one) for one in report.annotations] if report.final else []
    payload = {"repository": report.repository, "body": body, "annotations": annotations}
    return _message(report, "github.check_run", f"check_run/{report.run_id}", payload)


def _actions(state: ReportState) -> list[dict[str, str]]:
    """Buttons, which GitHub shows once a check is completed; it has one of its own to run all of it again."""
    return [_RETRY] if state in ("failed", "cancelled") else []


def _annotation(one: Annotation) -> dict[str, Any]:
    lines = [printable(line) for line in one.message.splitlines()[:_ANNOTATION_LINES]]
    made: dict[str, Any] = {
        "path": one.path,
        "start_line": max(1, one.line),
        "end_line": max(1, one.line),
        "annotation_level": one.level,
        "message": "\n".join(line for line in lines if line) or "wrong",
    }
    if one.column > 0:
        made |= {"start_column": one.column, "end_column": one.column}
    if one.title:
        made["title"] = printable(one.title, _ANNOTATION_TITLE)
    return made


def _status(report: RunReport) -> Message:
    body = {
        "state": _STATUSES[report.state],
        "context": context(report),
        "description": printable(title(report), _DESCRIPTION),
    }
    if report.url:
        body["target_url"] = report.url
    payload = {"repository": report.repository, "sha": report.sha, "body": body}
    return _message(report, "github.status", f"status/{report.sha}/{context(report)}", payload, among_runs=True)


def _deployment(report: RunReport, deployment: int) -> Message:
    body = {"state": _DEPLOYMENTS[report.state], "description": printable(title(report), _DESCRIPTION)}
    if report.url:
        body["log_url"] = report.url
    if report.environment:
        body["environment"] = report.environment
    payload = {"repository": report.repository, "deployment": deployment, "body": body}
    return _message(report, "github.deployment_status", f"deployment/{deployment}", payload, among_runs=True)


def _gitlab_status(report: RunReport) -> Message:
    body = {
        "state": _GITLAB[report.state],
        "name": context(report),
        "description": printable(title(report), _DESCRIPTION),
    }
    if report.url:
        body["target_url"] = report.url
    payload = {"repository": report.repository, "sha": report.sha, "body": body}
    return _message(report, "gitlab.status", f"status/{report.sha}/{context(report)}", payload, among_runs=True)


def _comment(report: RunReport, number: int) -> Message:
    # One for the project, so that a file that could not be read and then can be is told of in one place.
    mark = marker(report.project)
    payload = {
        "repository": report.repository,
        "number": number,
        "marker": mark,
        "text": comment(report, mark),
        # People are told of new comments: that something has begun is worth no message.
        "create": report.final,
    }
    return _message(report, f"{report.provider}.comment", f"comment/{number}", payload, among_runs=True)


def _message(
    report: RunReport, kind: str, thread: str, payload: Mapping[str, Any], *, among_runs: bool = False
) -> Message:
    rank = _RANKS[report.state]
    if among_runs:
        rank += int(report.created * 1000) * 4
    digest = sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:16]
    key = f"{thread}/{report.run_id}/{report.state}/{digest}"
    return Message(report.project, thread, key, kind, payload, rank=rank)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
