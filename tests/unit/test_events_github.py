"""What is read of GitHub's webhooks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.events import (
    Comment,
    Deployment,
    DeploymentStatus,
    EventError,
    Other,
    PullRequest,
    Push,
    Release,
    Rerequested,
    WorkflowRun,
    read_event,
)
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
    pull_request,
    push,
    repository,
)


def test_a_push_of_a_branch() -> None:
    assert github("push", push()) == Push(
        repository="octo/hello",
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
    found = github("push", push(ref="refs/tags/v1", before=NULL, after=C, created=True))
    assert isinstance(found, Push)
    assert (found.branch, found.tag, found.before, found.after, found.commit) == (None, "v1", None, C, B)


def test_a_deleted_branch_has_no_commit() -> None:
    found = github("push", push(after=NULL, deleted=True, head_commit=None))
    assert isinstance(found, Push)
    assert (found.deleted, found.after, found.commit) == (True, None, None)


def test_a_pull_request_of_the_repository_itself() -> None:
    assert github("pull_request", pull_request("synchronize")) == PullRequest(
        repository="octo/hello",
        action="synchronize",
        number=7,
        ref="refs/pull/7/head",
        head_sha=B,
        head_ref="feature/x",
        head_repo="octo/hello",
        base_sha=A,
        base_ref="main",
        author="octocat",
        association="MEMBER",
        fork=False,
        draft=False,
        closed=False,
        title="A change",
        sender="pusher",
    )


@pytest.mark.parametrize("repo", [None, repository("mallory/hello"), repository("octo/hello2")])
def test_a_pull_request_from_anywhere_else_is_from_a_fork(repo: dict[str, Any] | None) -> None:
    found = github("pull_request", pull_request(head={"sha": B, "ref": "main", "repo": repo}))
    assert isinstance(found, PullRequest)
    assert found.fork


def test_a_check_run_asked_for_again_names_the_run_it_shows() -> None:
    assert github("check_run", check_run()) == Rerequested(
        repository="octo/hello",
        sha=B,
        branch="feature/x",
        external_id=RUN,
        sender="octocat",
        pull_request=None,
        base_sha=None,
        base_ref=None,
        fork=False,
    )


@pytest.mark.parametrize("external_id", ["", "42", "../../etc", RUN.upper(), f"{RUN}0"])
def test_an_id_that_is_no_run_of_ours_is_left_out(external_id: str) -> None:
    found = github("check_run", check_run(external_id=external_id))
    assert isinstance(found, Rerequested)
    assert found.external_id is None


def test_a_check_without_a_branch_is_of_a_fork() -> None:
    found = github("check_run", check_run(check_suite={"head_branch": None}))
    assert isinstance(found, Rerequested)
    assert (found.fork, found.branch) == (True, None)


@pytest.mark.parametrize(("head", "fork"), [(1, False), (2, True), (None, True)])
def test_a_check_of_a_pull_request_goes_by_the_repositories_of_both_ends(head: int | None, fork: bool) -> None:
    member = {
        "number": 7,
        "head": {"ref": "feature/x", "sha": B, "repo": None if head is None else {"id": head}},
        "base": {"ref": "main", "sha": A, "repo": {"id": 1}},
    }
    suite = {"head_sha": B, "head_branch": "feature/x", "pull_requests": [member]}
    body = {"action": "rerequested", "check_suite": suite, "repository": repository(), "sender": {"login": "x"}}
    found = github("check_suite", body)
    assert isinstance(found, Rerequested)
    assert (found.fork, found.pull_request, found.base_sha, found.base_ref) == (fork, 7, A, "main")
    assert found.branch == (None if fork else "feature/x")


def test_a_comment() -> None:
    assert github("issue_comment", comment("/maestro retry")) == Comment(
        repository="octo/hello",
        action="created",
        number=7,
        on_pull_request=True,
        closed=False,
        body="/maestro retry",
        author="octocat",
        association="MEMBER",
        comment_id=99,
        default_branch="main",
    )


def test_releases_deployments_and_actions_are_read() -> None:
    about: dict[str, Any] = {"repository": repository(), "sender": {"login": "octocat"}}
    release = {"tag_name": "v1", "name": None, "draft": False, "prerelease": True}
    deployment = {"id": 3, "sha": B, "ref": "main", "environment": "production", "task": "deploy"}
    run = {"id": 4, "name": "CI", "head_sha": B, "head_branch": "main", "status": "completed", "conclusion": "success"}
    assert github("release", {"action": "published", "release": release, **about}) == Release(
        "octo/hello", "published", "v1", "", False, True, "octocat"
    )
    assert github("deployment", {"action": "created", "deployment": deployment, **about}) == Deployment(
        "octo/hello", "created", 3, B, "main", "production", "deploy", "octocat"
    )
    status = {"action": "created", "deployment": deployment, "deployment_status": {"state": "success"}, **about}
    assert github("deployment_status", status) == DeploymentStatus(
        "octo/hello", "created", 3, B, "production", "success", "octocat"
    )
    assert github("workflow_run", {"action": "completed", "workflow_run": run, **about}) == WorkflowRun(
        "octo/hello", "completed", 4, "CI", B, "main", "completed", "success", "octocat"
    )


@pytest.mark.parametrize(
    ("event", "body", "expected"),
    [
        ("star", {"action": "created", "repository": repository()}, Other("octo/hello", "star", "created")),
        ("ping", {"zen": "x"}, Other("", "ping", "")),
        ("check_run", {"action": "completed", "check_run": 3}, Other("", "check_run", "completed")),
        ("whatever", {"action": 3, "repository": "x"}, Other("", "whatever", "")),
        ("", {}, Other("", "", "")),
    ],
)
def test_any_other_event_is_kept_whatever_it_holds(event: str, body: dict[str, Any], expected: Other) -> None:
    assert github(event, body) == expected


def test_a_form_is_read_like_json() -> None:
    body = urlencode({"payload": json.dumps(push())}).encode()
    assert read_event("github", "push", body) == github("push", push())


def without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    """``body`` without the field at ``path``."""
    if len(path) == 1:
        return {key: value for key, value in body.items() if key != path[0]}
    return {**body, path[0]: without(body[path[0]], *path[1:])}


@pytest.mark.parametrize(
    ("event", "body", "problem"),
    [
        ("push", without(push(), "after"), "'after' is missing"),
        ("push", without(push(), "repository"), "'repository' is missing"),
        ("push", push(repository=repository("hello")), "'repository.full_name' is no full name of a repository"),
        ("push", push(repository=repository("a/b c")), "'repository.full_name' is no full name of a repository"),
        ("push", push(after="main"), "'after' is no commit id"),
        ("push", push(after=B.upper()), "'after' is no commit id"),
        ("push", push(after=7), "'after' must be text; found a number"),
        ("push", push(ref="main"), "'ref' is no name of a ref, such as refs/heads/main"),
        ("push", push(ref="refs/heads/-x"), "'ref' is no name of a ref"),
        ("push", push(ref="refs/heads/a b"), "'ref' is no name of a ref"),
        ("push", push(deleted="no"), "'deleted' must be true or false; found text"),
        ("push", push(head_commit=[]), "'head_commit' must be an object; found a list"),
        ("push", push(sender={}), "'sender.login' is missing"),
        ("pull_request", without(pull_request(), "pull_request", "head", "sha"), "'pull_request.head.sha' is missing"),
        ("pull_request", pull_request(head=None), "'pull_request.head' must be an object; found nothing"),
        (
            "pull_request",
            pull_request(head={"sha": B, "ref": "--upload-pack=x", "repo": None}),
            "'pull_request.head.ref' is no name that git allows for a branch or a tag",
        ),
        ("pull_request", {**pull_request(), "number": "7"}, "'number' must be a whole number; found text"),
        ("check_run", check_run(head_sha="x"), "'check_run.head_sha' is no commit id"),
        ("check_run", check_run(pull_requests=[{}]), "'check_run.pull_requests[0].number' is missing"),
        ("issue_comment", comment("x", id="x"), "'comment.id' must be a whole number; found text"),
    ],
)
def test_a_wrong_field_is_named(event: str, body: dict[str, Any], problem: str) -> None:
    with pytest.raises(EventError) as caught:
        github(event, body)
    assert caught.value.what.startswith(f"GitHub's event '{event}' cannot be read: {problem}")
    assert "maestro hooks show" in (caught.value.next_step or "")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "its body is no JSON (EOF while parsing"),
        (b"{", "its body is no JSON (EOF while parsing"),
        (b"\xff", "its body is no JSON (expected value"),
        (b'{"action": "\\ud800"}', "its body is no JSON (unexpected end of hex escape"),
        (b"[" * 1000, "its body is no JSON (recursion limit"),
        (b"[]", "its body must be an object; found a list"),
        (b"3", "its body must be an object; found a number"),
        (b"payload", "its body is no JSON"),
        (b"payload=", "its body is no form with a field 'payload'"),
        (b"payload=%7B", "its body is no JSON"),
        (b"payload=\xff", "its body is no form"),
        (b"payload=1&a=1&b=1&c=1&d=1", "its body is no form"),
    ],
)
@pytest.mark.parametrize("event", ["push", "check_run", "star"])
def test_a_body_that_is_no_object_is_refused(event: str, body: bytes, problem: str) -> None:
    with pytest.raises(EventError) as caught:
        read_event("github", event, body)
    assert problem in caught.value.what


def test_no_message_holds_a_value_or_the_words_of_a_library() -> None:
    with pytest.raises(EventError) as caught:
        github("push", push(after="sw0rdfish", before=3))
    for word in ("sw0rdfish", "pydantic", "type=", "Input", "Value error", "https"):
        assert word not in str(caught.value)


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(EventError, match="there is no provider 'svn' of events"):
        read_event("svn", "push", b"{}")


def test_texts_are_one_line_that_can_be_printed() -> None:
    found = github("pull_request", pull_request(title="  a\tb\x1b[31m\u202ec\nsecond" + "x" * 9000))
    assert isinstance(found, PullRequest)
    assert found.title == "a b [31m c"
    long = github("push", push(head_commit={"id": B, "message": "x" * 9000}))
    assert isinstance(long, Push)
    assert len(long.title) == 200


NAMES = ["main", "feature/x", "größe", "a.b", "v1.0", "x-y", "a@b"]
BAD_NAMES = ["-x", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b", ".a", "a/.b", "a."]
BAD_NAMES += ["a.lock", "a.lock/b", "a@{1}", "a\n", "a\x7f", "", "@", "x" * 256]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_git_allows_are_taken(name: str) -> None:
    found = github("pull_request", pull_request(head={"sha": B, "ref": name, "repo": None}))
    assert isinstance(found, PullRequest)
    assert found.head_ref == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_git_does_not_allow_are_refused(name: str) -> None:
    with pytest.raises(EventError, match="is no name that git allows"):
        github("pull_request", pull_request(head={"sha": B, "ref": name, "repo": None}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KNOWN = [
    ("push", push()),
    ("pull_request", fork_request()),
    ("issue_comment", comment("/maestro retry")),
    ("check_run", check_run()),
]


@given(st.sampled_from(KNOWN), st.data())
def test_whatever_stands_in_a_field_it_is_read_or_refused(
    known: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    event, body = known
    changed = json.loads(json.dumps(body))
    holder = changed
    while True:
        key = data.draw(st.sampled_from(sorted(holder)))
        if isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
            holder = holder[key]
            continue
        holder[key] = data.draw(JSON)
        break
    try:
        github(event, changed)
    except EventError as error:
        assert error.what.startswith(f"GitHub's event '{event}' cannot be read: ")
