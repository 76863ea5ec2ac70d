"""GitLab's webhooks become the same events, and so do Maestro's own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from maestro.events import Comment, EventError, Other, PullRequest, Push, Scheduled, read_event
from tests.unit.event_bodies import NULL, A, B, C, gitlab, gitlab_push, merge_request, note


def test_a_push_of_a_branch() -> None:
    assert gitlab("Push Hook", gitlab_push()) == Push(
        repository="group/sub/hello",
        ref="refs/heads/main",
        branch="main",
        tag=None,
        before=A,
        after=B,
        commit=B,
        deleted=False,
        created=False,
        forced=False,
        sender="octocat",
        title="Mend it",
    )


def test_an_annotated_tag_is_the_commit_it_points_to() -> None:
    found = gitlab("Tag Push Hook", gitlab_push(ref="refs/tags/v1", before=NULL, after=C))
    assert isinstance(found, Push)
    assert (found.tag, found.after, found.commit, found.created) == ("v1", C, B, True)


def test_a_deleted_branch_has_no_commit() -> None:
    found = gitlab("Push Hook", gitlab_push(after=NULL, checkout_sha=None))
    assert isinstance(found, Push)
    assert (found.deleted, found.after, found.commit) == (True, None, None)


def test_a_merge_request_is_a_pull_request_whose_base_commit_is_not_said() -> None:
    assert gitlab("Merge Request Hook", merge_request()) == PullRequest(
        repository="group/sub/hello",
        action="opened",
        number=7,
        ref="refs/merge-requests/7/head",
        head_sha=B,
        head_ref="feature/x",
        head_repo="group/sub/hello",
        base_sha=None,
        base_ref="main",
        author="octocat",
        association="",
        fork=False,
        draft=False,
        closed=False,
        title="A change",
        sender="octocat",
    )


@pytest.mark.parametrize(
    ("body", "action"),
    [
        (merge_request("open"), "opened"),
        (merge_request("reopen"), "reopened"),
        (merge_request("close"), "closed"),
        (merge_request("merge"), "closed"),
        (merge_request("update", oldrev=A), "synchronize"),
        (merge_request("update"), "edited"),
        (merge_request("update", {"draft": {"previous": True, "current": False}}), "ready_for_review"),
        (merge_request("update", {"draft": {"previous": False, "current": True}}), "edited"),
        (merge_request("update", {"draft": "odd"}), "edited"),
        (merge_request("approved"), "approved"),
    ],
)
def test_gitlabs_actions_have_githubs_names(body: dict[str, Any], action: str) -> None:
    found = gitlab("Merge Request Hook", body)
    assert isinstance(found, PullRequest)
    assert found.action == action


@pytest.mark.parametrize("source", [None, {"path_with_namespace": "mallory/hello"}])
def test_a_merge_request_from_anywhere_else_is_from_a_fork(source: dict[str, str] | None) -> None:
    found = gitlab("Merge Request Hook", merge_request(source=source))
    assert isinstance(found, PullRequest)
    assert found.fork


@pytest.mark.parametrize(
    ("more", "draft", "closed"),
    [
        ({"draft": True}, True, False),
        ({"draft": None, "work_in_progress": True}, True, False),
        ({"state": "merged"}, False, True),
        ({"state": "closed"}, False, True),
    ],
)
def test_drafts_and_closed_merge_requests_are_told(more: dict[str, Any], draft: bool, closed: bool) -> None:
    found = gitlab("Merge Request Hook", merge_request(**more))
    assert isinstance(found, PullRequest)
    assert (found.draft, found.closed) == (draft, closed)


def test_a_merge_request_without_commits_is_about_nothing() -> None:
    assert isinstance(gitlab("Merge Request Hook", merge_request(last_commit=None)), Other)


def test_a_note_of_a_merge_request_is_a_comment_without_an_association() -> None:
    assert gitlab("Note Hook", note("/maestro retry")) == Comment(
        repository="group/sub/hello",
        action="created",
        number=7,
        on_pull_request=True,
        closed=False,
        body="/maestro retry",
        author="octocat",
        association="",
        comment_id=99,
        default_branch="main",
    )


def test_changed_notes_are_edited_and_notes_of_commits_or_of_gitlab_itself_are_no_comments() -> None:
    edited = gitlab("Note Hook", note("/maestro retry", action="update"))
    assert isinstance(edited, Comment)
    assert edited.action == "edited"
    assert isinstance(gitlab("Note Hook", note("/maestro retry", system=True)), Other)
    of_commit = {key: value for key, value in note("x", noteable_type="Commit").items() if key != "merge_request"}
    assert isinstance(gitlab("Note Hook", of_commit), Other)


def test_any_other_hook_is_kept() -> None:
    body = {"project": {"path_with_namespace": "group/hello"}, "object_kind": "pipeline"}
    assert gitlab("Pipeline Hook", body) == Other("group/hello", "Pipeline Hook", "")


@pytest.mark.parametrize(
    ("event", "body", "problem"),
    [
        ("Push Hook", {}, "'project' is missing"),
        ("Push Hook", gitlab_push(checkout_sha="x"), "'checkout_sha' is no commit id"),
        ("Merge Request Hook", merge_request(iid="7"), "'object_attributes.iid' must be a whole number; found text"),
        ("Merge Request Hook", merge_request(source_branch="-x"), "'object_attributes.source_branch' is no name that"),
        ("Note Hook", note("x", id=None), "'object_attributes.id' must be a whole number; found nothing"),
    ],
)
def test_a_wrong_field_is_named(event: str, body: dict[str, Any], problem: str) -> None:
    with pytest.raises(EventError) as caught:
        gitlab(event, body)
    assert caught.value.what.startswith(f"GitLab's event '{event}' cannot be read: {problem}")


def own(provider: str, body: dict[str, Any]) -> Any:
    return read_event(provider, "run", json.dumps(body).encode())


def test_a_schedule_and_a_persons_command_are_events_too() -> None:
    at = datetime(2026, 1, 5, 3, tzinfo=UTC)
    assert own(
        "schedule", {"project": "hello", "at": "2026-01-05T03:00:00Z", "cron": "0 3 * * 1", "timezone": "UTC"}
    ) == Scheduled("hello", "schedule", None, at, "0 3 * * 1", "UTC", "")
    assert own(
        "command", {"project": "hello", "branch": "main", "at": "2026-01-05T04:00:00+01:00", "sender": "octocat"}
    ) == Scheduled("hello", "command", "main", at, None, None, "octocat")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"at": "2026-01-05T03:00:00Z"}, "the event of a schedule cannot be read: 'project' is missing"),
        ({"project": "a", "at": "soon"}, "'at' must be a time as in RFC 3339; found text"),
        ({"project": "a", "at": "2026-01-05T03:00:00"}, "'at' must be a time with a time zone"),
        ({"project": "a", "at": "2026-01-05T03:00:00Z", "branch": "-x"}, "'branch' is no name that git allows"),
    ],
)
def test_a_wrong_field_of_our_own_is_named(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(EventError) as caught:
        own("schedule", body)
    assert problem in caught.value.what
