"""What an event asks for: which revision, whose workflow file, and how far it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from maestro.events import Event, read_event
from maestro.triggers import Command, Nothing, Settled, Wanted, settled, wanted
from tests.unit.event_bodies import (
    NULL,
    RUN,
    A,
    B,
    C,
    check_run,
    comment,
    fork_request,
    github,
    gitlab,
    gitlab_push,
    merge_request,
    note,
    pull_request,
    push,
    repository,
)


def run_of(event: Event) -> Wanted:
    found = wanted(event)
    assert isinstance(found, Wanted), found
    return found


def nothing(event: Event) -> str:
    found = wanted(event)
    assert isinstance(found, Nothing), found
    return found.reason


def test_a_push_asks_for_the_commit_pushed() -> None:
    assert run_of(github("push", push())) == Wanted(
        event="push",
        repository="octo/hello",
        sha=B,
        ref="refs/heads/main",
        branch="main",
        base=A,
        workflow_sha=B,
        workflow_ref="refs/heads/main",
        author="octocat",
        title="Mend it",
    )


def test_a_new_branch_has_nothing_to_compare_with() -> None:
    assert run_of(github("push", push(before=NULL, created=True))).base is None


def test_a_tag_asks_for_its_commit_and_has_no_branch() -> None:
    found = run_of(github("push", push(ref="refs/tags/v1", before=A, after=C)))
    assert (found.sha, found.tag, found.branch, found.base) == (B, "v1", None, None)


def test_a_pull_request_asks_for_its_newest_commit() -> None:
    assert run_of(github("pull_request", pull_request())) == Wanted(
        event="pull_request",
        repository="octo/hello",
        sha=B,
        ref="refs/pull/7/head",
        branch="feature/x",
        base=A,
        base_branch="main",
        workflow_sha=B,
        workflow_ref="refs/pull/7/head",
        pull_request=7,
        author="octocat",
        title="A change",
        action="opened",
    )


def test_a_fork_is_not_trusted_and_the_base_branchs_workflow_counts() -> None:
    found = run_of(github("pull_request", fork_request()))
    assert (found.fork, found.trusted) == (True, False)
    assert (found.sha, found.workflow_sha, found.workflow_ref) == (B, A, "refs/heads/main")


def test_a_forks_branch_called_main_is_not_taken_for_ours() -> None:
    assert run_of(github("pull_request", fork_request())).branch == "pull/7"


def test_a_merge_request_from_a_fork_takes_the_workflow_where_its_base_branch_is_now() -> None:
    body = merge_request(source={"path_with_namespace": "mallory/hello"})
    found = run_of(gitlab("Merge Request Hook", body))
    assert (found.trusted, found.workflow_sha, found.workflow_ref) == (False, None, "refs/heads/main")
    assert settled(found, {"refs/heads/main": C}.__getitem__).workflow_sha == C


def test_gitlabs_push_asks_for_the_same_as_githubs() -> None:
    ours, theirs = run_of(github("push", push())), run_of(gitlab("Push Hook", gitlab_push()))
    assert (ours.sha, ours.branch, ours.base, ours.title) == (theirs.sha, theirs.branch, theirs.base, theirs.title)


@pytest.mark.parametrize(
    ("event", "body", "reason"),
    [
        ("push", push(after=NULL, deleted=True, head_commit=None), "branch 'main' was deleted"),
        ("push", push(ref="refs/tags/v1", after=NULL, deleted=True, head_commit=None), "tag 'v1' was deleted"),
        ("push", push(ref="refs/notes/commits"), "ref 'refs/notes/commits' is neither a branch nor a tag"),
        ("pull_request", pull_request("closed", state="closed"), "pull request 7 is closed"),
        ("pull_request", pull_request("labeled", state="closed"), "pull request 7 is closed"),
        ("pull_request", pull_request("assigned"), "a pull request that is 'assigned' starts nothing"),
        ("star", {"action": "created"}, "the event 'star' (created) starts nothing; the delivery is kept"),
        ("ping", {}, "the event 'ping' starts nothing; the delivery is kept"),
        ("check_run", {"action": "completed"}, "the event 'check_run' (completed) starts nothing"),
        ("issue_comment", comment("Nice!"), "the comment holds no command"),
    ],
)
def test_what_starts_nothing_says_why(event: str, body: dict[str, Any], reason: str) -> None:
    assert nothing(github(event, body)).startswith(reason)


@pytest.mark.parametrize("kind", ["deployment", "deployment_status", "workflow_run"])
def test_news_of_deployments_and_actions_are_kept_and_start_nothing(kind: str) -> None:
    deployment = {"id": 3, "sha": B, "ref": "main", "environment": "production"}
    run = {"id": 4, "head_sha": B}
    body = {
        "deployment": deployment,
        "deployment_status": {"state": "success"},
        "workflow_run": run,
        "repository": repository(),
    }
    assert "starts nothing; the delivery is kept" in nothing(github(kind, body))


def release(action: str, **more: Any) -> Event:
    found = {"tag_name": "v1", "name": "One", "draft": False} | more
    return github("release", {"action": action, "release": found, "repository": repository()})


def test_a_release_asks_for_its_tag_wherever_that_is() -> None:
    found = run_of(release("published"))
    assert (found.sha, found.ref, found.tag, found.title) == (None, "refs/tags/v1", "v1", "One")
    assert settled(found, {"refs/tags/v1": C}.__getitem__).workflow_sha == C


def test_drafts_and_removed_releases_start_nothing() -> None:
    assert nothing(release("created", draft=True)) == "release 'v1' is a draft"
    assert nothing(release("deleted")) == "a release that is 'deleted' starts nothing"


def own(provider: str, body: bytes) -> Event:
    return read_event(provider, "run", body)


def test_a_schedule_asks_for_the_default_branch() -> None:
    found = run_of(own("schedule", b'{"project": "hello", "at": "2026-01-05T03:00:00Z", "cron": "0 3 * * 1"}'))
    assert (found.event, found.sha, found.ref, found.cron) == ("schedule", None, "HEAD", "0 3 * * 1")


def test_a_person_may_name_a_branch() -> None:
    found = run_of(own("command", b'{"project": "hello", "at": "2026-01-05T03:00:00Z", "branch": "x", "sender": "me"}'))
    assert (found.event, found.ref, found.branch, found.author) == ("command", "refs/heads/x", "x", "me")


def test_the_default_branch_is_asked_for_once_so_that_file_and_revision_belong_together() -> None:
    tips = iter([A, B])
    found = settled(
        run_of(own("schedule", b'{"project": "hello", "at": "2026-01-05T03:00:00Z"}')), lambda _: next(tips)
    )
    assert isinstance(found, Settled)
    assert (found.sha, found.workflow_sha) == (A, A)


def test_what_is_known_is_not_asked_for() -> None:
    def tip(ref: str) -> str:
        raise AssertionError(ref)

    known = run_of(github("pull_request", fork_request()))
    assert (settled(known, tip).sha, settled(known, tip).workflow_sha) == (B, A)


def test_a_check_asked_for_again_is_its_run_again() -> None:
    found = run_of(github("check_run", check_run()))
    assert (found.event, found.sha, found.rerun_of, found.trusted) == ("rerequested", B, RUN, True)
    assert (found.ref, found.branch, found.workflow_sha) == ("refs/heads/feature/x", "feature/x", B)


def test_a_check_of_a_fork_asked_for_again_is_not_trusted_and_never_uses_its_own_workflow() -> None:
    found = run_of(github("check_run", check_run(check_suite={"head_branch": None})))
    assert (found.fork, found.trusted, found.branch, found.workflow_sha) == (True, False, None, None)
    assert settled(found, {"HEAD": C}.__getitem__).workflow_sha == C


@pytest.mark.parametrize(
    "make",
    [
        lambda: github("pull_request", fork_request()),
        lambda: github("pull_request", pull_request(head={"sha": B, "ref": "main", "repo": None})),
        lambda: gitlab("Merge Request Hook", merge_request(source=None)),
        lambda: github("check_run", check_run(check_suite=None)),
    ],
)
def test_what_is_not_trusted_never_has_its_own_workflow_file(make: Callable[[], Event]) -> None:
    found = run_of(make())
    assert not found.trusted
    assert settled(found, {"refs/heads/main": A, "HEAD": A}.__getitem__).workflow_sha != found.sha


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [
        ("/maestro retry", "retry", ""),
        ("/maestro cancel\nbecause of the fire", "cancel", ""),
        ("\n\n  /Maestro  Approve   deploy/publish  unit \n", "approve", "deploy/publish unit"),
        ("/maestro approve " + B, "approve", B),
    ],
)
def test_a_comments_first_line_gives_a_command(text: str, name: str, argument: str) -> None:
    for event in (github("issue_comment", comment(text)), gitlab("Note Hook", note(text))):
        found = wanted(event)
        assert isinstance(found, Command)
        assert (found.name, found.argument, found.number, found.author) == (name, argument, 7, "octocat")
        assert found.words == tuple(argument.split())


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ("", {}, "the comment holds no command"),
        ("please /maestro retry", {}, "the comment holds no command"),
        ("> /maestro retry", {}, "the comment holds no command"),
        ("    /maestro retry", {}, "the comment holds no command"),
        ("```\n/maestro retry", {}, "the comment holds no command"),
        ("Well.\n/maestro retry", {}, "the comment holds no command"),
        ("/maestrofoo retry", {}, "the comment holds no command"),
        ("/maestro", {}, "there is no such command; write /maestro retry, /maestro cancel or /maestro approve"),
        ("/maestro destroy", {}, "there is no such command"),
        ("/maestro retry $(reboot)", {}, "what follows /maestro retry is not understood"),
        ("/maestro retry " + "x" * 101, {}, "what follows /maestro retry is not understood"),
        ("/maestro retry " + "x " * 21, {}, "what follows /maestro retry is not understood"),
        ("/maestro retry", {"action": "edited"}, "a comment that is 'edited' gives no command; write a new one"),
        ("/maestro retry", {"action": "deleted"}, "a comment that is 'deleted' gives no command"),
        ("/maestro retry", {"pull_request": None}, "commands are taken in pull requests only"),
        ("/maestro retry", {"state": "closed"}, "pull request 7 is closed"),
        ("/maestro approve", {"state": "closed"}, "pull request 7 is closed"),
    ],
)
def test_what_is_no_command_says_why(text: str, more: dict[str, Any], reason: str) -> None:
    assert nothing(github("issue_comment", comment(text, **more))).startswith(reason)


def test_a_closed_pull_requests_runs_can_still_be_cancelled() -> None:
    assert isinstance(wanted(github("issue_comment", comment("/maestro cancel", state="closed"))), Command)
