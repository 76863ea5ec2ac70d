"""From a report to what is put into the outbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maestro.reporting.messages import APP_CHANNELS, TOKEN_CHANNELS, report_messages
from maestro.reporting.model import Annotation, RunReport, StepReport

SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"


def report(state: Any, **changes: Any) -> RunReport:
    made = RunReport(
        project="shop",
        repository="acme/shop",
        sha=SHA,
        run_id="run-1",
        workflow="delivery",
        state=state,
        created=1000.0,
        started=1001.0,
        ended=1002.0,
        pull_request=5,
        deployment=42,
        steps=(StepReport("test/unit", "passed"),),
    )
    return replace(made, **changes)


def check(state: str, **changes: Any) -> dict[str, Any]:
    (message,) = report_messages(report(state, **changes), {"check_run"})
    return dict(message.payload["body"])


def kinds(made: RunReport, channels: frozenset[Any] = APP_CHANNELS) -> list[str]:
    return [one.kind for one in report_messages(made, channels)]


def test_an_app_writes_a_check_run_and_a_token_a_status() -> None:
    assert kinds(report("failed")) == ["github.check_run", "github.deployment_status", "github.comment"]
    assert kinds(report("failed"), TOKEN_CHANNELS) == ["github.status", "github.deployment_status", "github.comment"]


def test_without_a_pull_request_and_a_deployment_there_is_a_check_alone() -> None:
    assert kinds(report("failed", pull_request=None, deployment=None)) == ["github.check_run"]


def test_a_queued_run_is_no_news_for_a_comment() -> None:
    assert kinds(report("queued")) == ["github.check_run", "github.deployment_status"]


def test_gitlab_is_told_of_a_status_and_a_note() -> None:
    made = report("cancelled", provider="gitlab")
    assert kinds(made, TOKEN_CHANNELS) == ["gitlab.status", "gitlab.comment"]
    assert report_messages(made, TOKEN_CHANNELS)[0].payload["body"]["state"] == "canceled"


def test_a_plain_git_server_is_told_nothing() -> None:
    assert report_messages(report("failed", provider="git")) == []


@pytest.mark.parametrize(
    ("state", "status", "conclusion"),
    [
        ("queued", "queued", None),
        ("running", "in_progress", None),
        ("succeeded", "completed", "success"),
        ("failed", "completed", "failure"),
        ("cancelled", "completed", "cancelled"),
        ("invalid", "completed", "failure"),
    ],
)
def test_a_check_run_has_the_state_of_the_run(state: str, status: str, conclusion: str | None) -> None:
    body = check(state)
    assert (body["status"], body.get("conclusion"), body["external_id"]) == (status, conclusion, "run-1")
    assert ("completed_at" in body) == (status == "completed")


@pytest.mark.parametrize(
    ("state", "buttons"),
    [("running", []), ("failed", ["retry"]), ("cancelled", ["retry"]), ("succeeded", []), ("invalid", [])],
)
def test_a_check_run_has_the_buttons_that_make_sense(state: str, buttons: list[str]) -> None:
    assert [one["identifier"] for one in check(state)["actions"]] == buttons


def test_times_are_in_utc_without_fractions() -> None:
    assert check("succeeded", started=1001.5)["started_at"] == "1970-01-01T00:16:41Z"


def test_an_annotation_stands_at_its_line_and_column() -> None:
    made = report("invalid", annotations=(Annotation("maestro.yaml", 3, "no\x1b[31m key\nhere", "wrong", column=5),))
    (message,) = report_messages(made, {"check_run"})
    assert message.payload["annotations"] == [
        {
            "path": "maestro.yaml",
            "start_line": 3,
            "end_line": 3,
            "start_column": 5,
            "end_column": 5,
            "annotation_level": "failure",
            "message": "no [31m key\nhere",
            "title": "wrong",
        }
    ]


def test_annotations_are_sent_with_the_end_alone_as_github_adds_them_up() -> None:
    made = report("running", annotations=(Annotation("maestro.yaml", 3, "wrong"),))
    (message,) = report_messages(made, {"check_run"})
    assert message.payload["annotations"] == []


@pytest.mark.parametrize(
    ("state", "status"),
    [("queued", "pending"), ("running", "pending"), ("succeeded", "success"), ("failed", "failure"), ("invalid", "error")],
)  # fmt: skip
def test_a_status_has_the_state_of_the_run_in_140_characters(state: str, status: str) -> None:
    (message,) = report_messages(report(state, reason="x" * 500), {"status"})
    body = message.payload["body"]
    assert (body["state"], body["context"]) == (status, "maestro / delivery")
    assert len(body["description"]) <= 140


@pytest.mark.parametrize(("state", "status"), [("queued", "queued"), ("running", "in_progress"), ("failed", "failure")])
def test_a_deployment_has_the_state_of_the_run(state: str, status: str) -> None:
    (message,) = report_messages(report(state, environment="production"), {"deployment"})
    assert message.payload["body"]["state"] == status
    assert message.payload["body"]["environment"] == "production"


def test_a_comment_is_made_at_the_end_and_changed_before() -> None:
    assert [report_messages(report(one), {"comment"})[0].payload["create"] for one in ("running", "failed")] == [
        False,
        True,
    ]


def test_what_has_not_changed_has_the_key_it_had() -> None:
    def keys(made: RunReport) -> dict[str, str]:
        return {one.kind: one.key for one in report_messages(made)}

    first, again, other = keys(report("running")), keys(report("running")), keys(report("running", reason="x"))
    assert first == again
    assert {kind for kind in first if first[kind] != other[kind]} == {"github.check_run", "github.comment"}


def test_of_one_run_a_later_state_ranks_higher() -> None:
    ranks = [report_messages(report(one), {"check_run"})[0].rank for one in ("queued", "running", "succeeded")]
    assert ranks == sorted(set(ranks))


def test_of_two_runs_of_a_pull_request_the_newer_ranks_higher_in_any_state() -> None:
    (old,) = report_messages(report("succeeded"), {"comment"})
    (new,) = report_messages(report("running", run_id="run-2", created=1000.001), {"comment"})
    assert old.thread == new.thread
    assert new.rank > old.rank


def test_each_run_has_a_check_run_of_its_own() -> None:
    (old,) = report_messages(report("succeeded"), {"check_run"})
    (new,) = report_messages(report("queued", run_id="run-2"), {"check_run"})
    assert old.thread != new.thread
