"""A delivery becomes one run of its revision, or the reason why there is none, whoever asks and however often."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from maestro.runs.tags import (
    AUTHOR_TAG,
    BASE_TAG,
    BRANCH_TAG,
    CHECKOUT_TAG,
    DELIVERY_TAG,
    GROUP_TAG,
    PARTITION_TAG,
    PULL_REQUEST_TAG,
    SUPERSEDES_TAG,
    UNTRUSTED_TAG,
    WORKFLOW_REVISION_TAG,
)
from maestro.server.projects import RegisteredProject
from maestro_defs.dispatch import ATTEMPTS
from maestro_defs.trust import run_id_of
from tests.integration.dispatch_desk import WORKFLOW, Desk, comment, desk, forks_run, pull_request, push, rerequested

__all__ = ["desk"]


def test_a_push_becomes_a_queued_run_of_exactly_its_revision(desk: Desk) -> None:
    before = desk.head()
    sha = desk.origin.commit({"src/a.py": "2"})
    run = desk.run(desk.take("push", push(sha, before), name="d1"))
    assert run.run_id == run_id_of("github:d1", "app", sha)
    assert run.status == dg.DagsterRunStatus.QUEUED
    wanted = {
        PARTITION_TAG: sha,
        BASE_TAG: before,
        BRANCH_TAG: "main",
        AUTHOR_TAG: "ada",
        DELIVERY_TAG: "github:d1",
        GROUP_TAG: "main",
        SUPERSEDES_TAG: "true",
        "maestro/tenant": "web",
        "dagster/priority": "7",
        "maestro/traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    assert {name: run.tags.get(name) for name in wanted} == wanted
    assert Path(run.tags[CHECKOUT_TAG].partition(" ")[2], "src/a.py").read_text() == "2"
    assert [one.state for one in desk.told] == ["queued"]


def test_what_the_plan_leaves_out_is_no_part_of_the_run(desk: Desk) -> None:
    before = desk.head()
    run = desk.run(desk.take("push", push(desk.origin.commit({"src/a.py": "2"}), before)))
    assert run.asset_selection == {dg.AssetKey(["app", "test", "say"])}


def test_the_same_delivery_again_finds_its_run(desk: Desk) -> None:
    sha = desk.head()
    first = desk.take("push", push(sha), name="d1")
    again = desk.take("push", push(sha), name="d1")
    assert (first.runs, desk.runs()) == (again.runs, 1)


def test_two_deliveries_of_a_revision_are_two_runs(desk: Desk) -> None:
    sha = desk.head()
    assert desk.take("push", push(sha)).runs != desk.take("push", push(sha)).runs
    assert desk.runs() == 2


def test_a_workflow_is_the_one_of_its_own_revision(desk: Desk) -> None:
    sha = desk.origin.commit({"maestro.yaml": WORKFLOW.replace("id: say", "id: shout"), "src/a.py": "2"})
    run = desk.run(desk.take("push", push(sha)))
    assert dg.AssetKey(["app", "test", "shout"]) in (run.asset_selection or ())


@pytest.mark.parametrize(
    ("files", "branch", "reason"),
    [
        ({"README": "x"}, "main", "no changed file is among on.push.paths"),
        ({"src/b.py": "x"}, "other", "branch 'other' is not among on.push.branches"),
    ],
)
def test_a_push_the_workflow_does_not_name_starts_nothing(
    desk: Desk, files: dict[str, str | bytes], branch: str, reason: str
) -> None:
    before = desk.head()
    outcome = desk.take("push", push(desk.origin.commit(files, branch=branch), before, branch))
    assert (outcome.state, outcome.reason, desk.runs(), desk.told) == ("nothing", reason, 0, [])


def test_a_revision_without_a_workflow_starts_nothing(desk: Desk) -> None:
    sha = desk.origin.commit({"src/a.py": "2"})
    desk.server.projects.change(
        RegisteredProject("app", str(desk.origin.bare), repository="octo/hello", workflow_file="ci/maestro.yaml")
    )
    outcome = desk.take("push", push(sha))
    assert (outcome.state, outcome.reason) == ("nothing", f"revision {sha[:12]} has no ci/maestro.yaml")


def test_a_wrong_workflow_is_told_with_its_place_and_given_up(desk: Desk) -> None:
    sha = desk.origin.commit({"maestro.yaml": WORKFLOW.replace("run: shell", "run: shel", 1)})
    outcome = desk.take("push", push(sha))
    assert (outcome.state, desk.runs()) == ("dead", 0)
    assert "maestro.yaml:7:" in outcome.reason
    assert "unknown step kind 'shel'" in outcome.reason
    assert [(one.state, one.wanted.sha) for one in desk.told] == [("invalid", sha)]


def test_a_body_that_is_no_push_is_given_up_with_the_field(desk: Desk) -> None:
    outcome = desk.take("push", {"repository": {"full_name": "octo/hello"}})
    assert outcome.state == "dead"
    assert "GitHub's event 'push'" in outcome.reason


def test_a_commit_that_is_gone_is_given_up(desk: Desk) -> None:
    outcome = desk.take("push", push("c" * 40))
    assert (outcome.state, desk.runs()) == ("dead", 0)
    assert "deleted or force-pushed" in outcome.reason


def test_a_repository_that_cannot_be_reached_is_tried_again_and_then_given_up(desk: Desk) -> None:
    sha = desk.origin.commit({"src/a.py": "2"})
    shutil.move(desk.origin.bare, f"{desk.origin.bare}.away")
    outcome = desk.take("push", push(sha))
    assert (outcome.state, outcome.attempts) == ("waiting", 1)
    assert outcome.next_at is not None
    last = desk.take("push", push(sha), attempts=ATTEMPTS - 1)
    assert last.state == "dead"
    assert f"given up after {ATTEMPTS} attempts" in last.reason


def test_a_project_registered_later_is_found_by_its_repository(desk: Desk) -> None:
    sha = desk.head()
    assert desk.run(desk.take("push", push(sha), project="")).tags[PARTITION_TAG] == sha
    desk.server.projects.remove("app")
    outcome = desk.take("push", push(sha), project="")
    assert (outcome.state, outcome.reason) == (
        "dead",
        "no project delivers octo/hello; register it: maestro projects add",
    )


def test_a_forks_pull_request_runs_the_bases_workflow_untrusted(desk: Desk) -> None:
    base = desk.head()
    head = desk.forks_commit({"maestro.yaml": WORKFLOW.replace("id: say", "id: steal"), "docs/x": "1"})
    run = desk.run(desk.take("pull_request", pull_request(desk, head, fork=True)))
    wanted = {
        PARTITION_TAG: head,
        WORKFLOW_REVISION_TAG: base,
        UNTRUSTED_TAG: "true",
        PULL_REQUEST_TAG: "7",
        BRANCH_TAG: "pull/7",
    }
    assert {name: run.tags.get(name) for name in wanted} == wanted
    steps = {key.path[-1] for key in run.asset_selection or ()}
    # The whole job is selected by nothing at all.
    assert steps in (set(), {"say", "docs"})


def test_a_member_may_trust_the_commit_of_a_fork_that_was_read(desk: Desk) -> None:
    untrusted = forks_run(desk)
    sha = untrusted.tags[PARTITION_TAG]
    run = desk.run(desk.take("issue_comment", comment(f"/maestro approve {sha}", "MEMBER")))
    assert UNTRUSTED_TAG not in run.tags
    assert run.tags[PARTITION_TAG] == sha
    assert run.tags[WORKFLOW_REVISION_TAG] == untrusted.tags[WORKFLOW_REVISION_TAG]


@pytest.mark.parametrize(
    ("text", "association", "reason"),
    [
        ("/maestro approve", "MEMBER", "name the commit you have looked at"),
        (f"/maestro approve {'d' * 40}", "MEMBER", "by now, not at dddddddddddd"),
        (f"/maestro approve {'d' * 40}", "NONE", "ann"),
        ("/maestro retry", "MEMBER", "nothing to retry"),
        ("thanks!", "MEMBER", "the comment holds no command"),
    ],
)
def test_a_comment_that_may_not_or_cannot_be_obeyed_starts_nothing(
    desk: Desk, text: str, association: str, reason: str
) -> None:
    forks_run(desk)
    outcome = desk.take("issue_comment", comment(text, association))
    assert (outcome.state, desk.runs()) == ("nothing", 1)
    assert reason in outcome.reason


def test_a_commit_is_approved_by_all_of_its_id_as_another_may_begin_alike(desk: Desk) -> None:
    sha = forks_run(desk).tags[PARTITION_TAG]
    outcome = desk.take("issue_comment", comment(f"/maestro approve {sha[:39]}", "MEMBER"))
    assert (outcome.state, desk.runs()) == ("nothing", 1)
    assert "all of its id" in outcome.reason


def test_cancelling_ends_the_queued_runs_of_the_pull_request(desk: Desk) -> None:
    run = forks_run(desk)
    outcome = desk.take("issue_comment", comment("/maestro cancel", "OWNER"))
    assert outcome.reason == "cancelled 1 run(s)"
    ended = desk.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.CANCELED


def test_a_cancelled_run_is_resumed_by_retry_and_stays_untrusted(desk: Desk) -> None:
    first = forks_run(desk)
    desk.take("issue_comment", comment("/maestro cancel", "OWNER"))
    run = desk.run(desk.take("issue_comment", comment("/maestro retry", "OWNER")))
    assert (run.parent_run_id, run.root_run_id) == (first.run_id, first.run_id)
    assert run.tags[UNTRUSTED_TAG] == "true"


def test_a_check_asked_for_again_is_a_run_as_trusted_as_the_first(desk: Desk) -> None:
    trusted = desk.run(desk.take("push", push(desk.head())))
    again = desk.run(desk.take("check_run", rerequested(trusted.tags[PARTITION_TAG], trusted.run_id)))
    assert (again.tags[PARTITION_TAG], UNTRUSTED_TAG in again.tags) == (trusted.tags[PARTITION_TAG], False)
    untrusted = forks_run(desk)
    again = desk.run(desk.take("check_run", rerequested(untrusted.tags[PARTITION_TAG], untrusted.run_id)))
    assert again.tags[UNTRUSTED_TAG] == "true"


def test_the_button_of_a_failed_check_runs_it_again(desk: Desk) -> None:
    run = desk.run(desk.take("push", push(desk.head())))
    body = rerequested(run.tags[PARTITION_TAG], run.run_id) | {"action": "requested_action"}
    assert desk.take("check_run", body | {"requested_action": {"identifier": "other"}}).state == "nothing"
    assert desk.take("check_run", body | {"requested_action": {"identifier": "retry"}}).state == "started"


def test_a_time_of_the_schedule_runs_the_default_branch_as_it_is_then(desk: Desk) -> None:
    sha = desk.origin.commit({"src/a.py": "3"})
    body = {"project": "app", "at": "2026-11-16T03:00:00+00:00", "cron": "0 3 * * 1", "timezone": "UTC"}
    run = desk.run(desk.take("schedule", body))
    assert (run.tags[PARTITION_TAG], run.tags[BRANCH_TAG]) == (sha, "main")
    outcome = desk.take("schedule", body | {"cron": "0 4 * * 1"})
    assert outcome.reason == "on.schedule does not name '0 4 * * 1' (UTC) any more"
