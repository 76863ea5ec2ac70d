"""What a workflow's ``on`` lets start a run, who may give commands, and concurrency groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.events import Event, read_event
from maestro.triggers import Command, Wanted, allowed, group_of, refusal, wanted
from maestro.workflow.concurrency import Concurrency
from maestro.workflow.expressions import ExpressionError
from maestro.workflow.triggers import On
from tests.unit.event_bodies import NULL, check_run, comment, fork_request, github, pull_request, push, repository
from tests.unit.workflow_kinds import load

FILES = ("src/a.py", "docs/a.md")


def on(text: str) -> On:
    head = f"on: {text}\n" if text else ""
    return load(f"name: x\n{head}stages: [{{name: a, steps: [{{run: test.unit}}]}}]\n").workflow.on


def answer(text: str, event: Event, changed: Sequence[str] | None = FILES) -> str | None:
    """Why ``event`` does not start a run of a workflow with ``on: text``; None when it does."""
    asked = wanted(event)
    assert isinstance(asked, Wanted)
    return refusal(on(text), asked, lambda: changed)


def branch(name: str) -> Event:
    return github("push", push(ref=f"refs/heads/{name}"))


def tag(name: str) -> Event:
    return github("push", push(ref=f"refs/tags/{name}", before=NULL))


def request(action: str = "opened", **more: Any) -> Event:
    return github("pull_request", pull_request(action, **more))


def release(action: str) -> Event:
    found = {"tag_name": "v1", "draft": False}
    return github("release", {"action": action, "release": found, "repository": repository()})


def scheduled(provider: str = "schedule", more: str = "") -> Event:
    return read_event(provider, "", b'{"project": "x", "at": "2026-01-05T03:00:00Z"%s}' % more.encode())


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("push", branch("main")),
        ("push", tag("v1")),
        ("{push: , pull_request: }", request()),
        ("{push: {branches: [main, 'release/*']}}", branch("release/1")),
        ("{push: {branches_ignore: ['wip/**']}}", branch("main")),
        ("{push: {branches: [main], tags: ['v*']}}", tag("v1")),
        ("{push: {branches: [main], tags: ['v*']}}", branch("main")),
        ("{push: {paths: ['src/**']}}", branch("main")),
        ("{push: {paths: ['nowhere/**']}}", tag("v1")),
        ("{push: {paths_ignore: ['docs/**']}}", branch("main")),
        ("{push: {tags_ignore: ['v0*']}}", tag("v1")),
        ("pull_request", request("opened")),
        ("pull_request", request("synchronize")),
        ("pull_request", request("reopened")),
        ("pull_request", request("opened", draft=True)),
        ("pull_request", github("pull_request", fork_request())),
        ("{pull_request: {drafts: false}}", request("ready_for_review")),
        ("{pull_request: {drafts: false, types: [opened]}}", request("ready_for_review")),
        ("{pull_request: {types: [labeled]}}", request("labeled")),
        ("{pull_request: {branches: [main], paths: ['**.py']}}", request()),
        ("release", release("published")),
        ("{release: {types: [prereleased]}}", release("prereleased")),
        ("{schedule: '0 3 * * 1'}", scheduled()),
        ("{schedule: '0 3 * * 1'}", scheduled(more=', "cron": "0 3 * * 1"')),
        ("{schedule: '0 3 * * 1'}", scheduled(more=', "cron": "0 3 * * 1", "timezone": "UTC"')),
        ("", scheduled("command")),
        ("", github("check_run", check_run())),
    ],
)
def test_what_on_names_starts_a_run(text: str, event: Event) -> None:
    assert answer(text, event) is None


@pytest.mark.parametrize(
    ("text", "event", "reason"),
    [
        ("", branch("main"), "the workflow has no 'on', so nothing but a person starts it"),
        ("", request(), "the workflow has no 'on', so nothing but a person starts it"),
        ("pull_request", branch("main"), "the workflow's 'on' does not name push"),
        ("push", request(), "the workflow's 'on' does not name pull_request"),
        ("push", release("published"), "the workflow's 'on' does not name release"),
        ("push", scheduled(), "the workflow's 'on' does not name schedule"),
        ("{comment: }", branch("main"), "the workflow's 'on' does not name push"),
        ("{push: {branches: [main]}}", branch("x"), "branch 'x' is not among on.push.branches"),
        ("{push: {branches: [main, '!main']}}", branch("main"), "branch 'main' is not among on.push.branches"),
        ("{push: {branches_ignore: [x]}}", branch("x"), "branch 'x' is among on.push.branches_ignore"),
        ("{push: {branches: [main]}}", tag("v1"), "tag 'v1': on.push names branches only"),
        ("{push: {branches_ignore: [main]}}", tag("v1"), "tag 'v1': on.push names branches only"),
        ("{push: {tags: ['v*']}}", branch("v1"), "branch 'v1': on.push names tags only"),
        ("{push: {tags: ['v*']}}", tag("x"), "tag 'x' is not among on.push.tags"),
        ("{push: {tags_ignore: ['v*']}}", tag("v1"), "tag 'v1' is among on.push.tags_ignore"),
        ("{push: {paths: ['web/**']}}", branch("main"), "no changed file is among on.push.paths"),
        ("{push: {branches: [x], paths: ['src/**']}}", branch("main"), "branch 'main' is not among on.push.branches"),
        ("{push: {paths_ignore: ['**']}}", branch("main"), "all changed files are among on.push.paths_ignore"),
        ("pull_request", request("labeled"), "on.pull_request.types does not name 'labeled'"),
        ("pull_request", request("ready_for_review"), "on.pull_request.types does not name 'ready_for_review'"),
        ("{pull_request: {types: [labeled]}}", request(), "on.pull_request.types does not name 'opened'"),
        ("{pull_request: {drafts: false}}", request(draft=True), "pull request 7 is a draft"),
        ("{pull_request: {branches: [dev]}}", request(), "branch 'main' is not among on.pull_request.branches"),
        (
            "{pull_request: {branches_ignore: [main]}}",
            request(),
            "branch 'main' is among on.pull_request.branches_ignore",
        ),
        ("{pull_request: {paths: ['web/**']}}", request(), "no changed file is among on.pull_request.paths"),
        (
            "{pull_request: {paths_ignore: ['**']}}",
            request(),
            "all changed files are among on.pull_request.paths_ignore",
        ),
        ("release", release("created"), "on.release.types does not name 'created'"),
        (
            "{schedule: '0 4 * * 1'}",
            scheduled(more=', "cron": "0 3 * * 1"'),
            "on.schedule does not name '0 3 * * 1' (UTC) any more",
        ),
        (
            "{schedule: {cron: '0 3 * * 1', timezone: Europe/Berlin}}",
            scheduled(more=', "cron": "0 3 * * 1"'),
            "on.schedule does not name '0 3 * * 1' (UTC) any more",
        ),
    ],
)
def test_what_on_does_not_name_is_refused_with_the_reason(text: str, event: Event, reason: str) -> None:
    assert answer(text, event) == reason


def test_changes_that_cannot_be_known_hold_nothing_back() -> None:
    assert answer("{push: {paths: ['web/**']}}", branch("main"), None) is None
    assert answer("{push: {paths_ignore: ['**']}}", branch("main"), None) is None


def test_a_commit_that_changes_nothing_matches_no_path_and_is_not_ignored() -> None:
    assert answer("{push: {paths: ['**']}}", branch("main"), []) == "no changed file is among on.push.paths"
    assert answer("{push: {paths_ignore: ['**']}}", branch("main"), []) is None


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("push", branch("main")),
        ("{push: {branches: [x], paths: ['**']}}", branch("main")),
        ("{push: {paths: ['**']}}", tag("v1")),
    ],
)
def test_changes_are_asked_for_only_when_they_decide(text: str, event: Event) -> None:
    asked = wanted(event)
    assert isinstance(asked, Wanted)

    def changed() -> Sequence[str]:
        raise AssertionError("nobody needed this")

    refusal(on(text), asked, changed)


def command(author: str = "octocat", association: str = "NONE") -> Command:
    body = comment("/maestro retry", user={"login": author}, author_association=association)
    found = wanted(github("issue_comment", body))
    assert isinstance(found, Command)
    return found


@pytest.mark.parametrize("text", ["", "push", "{push: }", "{comment: }"])
@pytest.mark.parametrize(
    ("association", "may"),
    [
        ("OWNER", True),
        ("MEMBER", True),
        ("COLLABORATOR", True),
        ("CONTRIBUTOR", False),
        ("FIRST_TIME_CONTRIBUTOR", False),
        ("NONE", False),
        ("", False),
        ("owner", False),
    ],
)
def test_those_who_belong_to_the_repository_may_command_unless_said_otherwise(
    text: str, association: str, may: bool
) -> None:
    assert (allowed(command(association=association), on(text)) is None) == may


@pytest.mark.parametrize(
    ("allow", "author", "association", "may"),
    [
        ("[octocat]", "octocat", "NONE", True),
        ("['@OctoCat']", "octocat", "NONE", True),
        ("[octocat]", "octocat2", "OWNER", False),
        ("[MEMBER]", "octocat", "OWNER", False),
        ("[]", "octocat", "OWNER", False),
        ("['@member']", "member", "NONE", True),
        ("['@member']", "octocat", "MEMBER", False),
        ("[my-org/team]", "my-org", "NONE", False),
    ],
)
def test_a_list_says_exactly_who_may(allow: str, author: str, association: str, may: bool) -> None:
    refused = allowed(command(author, association), on(f"{{comment: {{allow: {allow}}}}}"))
    assert (refused is None) == may
    if refused:
        assert refused.startswith(f"{author} may not say /maestro retry here; on.comment.allow lists ")


def test_an_account_that_was_deleted_may_nothing() -> None:
    body = comment("/maestro retry", user=None, author_association="OWNER")
    found = wanted(github("issue_comment", body))
    assert isinstance(found, Command)
    assert allowed(found, None) == "the comment names no author"


def test_a_member_of_a_team_may_when_somebody_says_so() -> None:
    policy = on("{comment: {allow: [my-org/team]}}")
    members = {("my-org/team", "octocat")}
    assert allowed(command(), policy, in_team=lambda team, login: (team, login) in members) is None
    refused = allowed(command("mallory"), policy, in_team=lambda team, login: (team, login) in members)
    assert refused == "mallory may not say /maestro retry here; on.comment.allow lists my-org/team"


def test_when_nobody_knows_who_is_in_a_team_nobody_is() -> None:
    policy = on("{comment: {allow: [my-org/team]}}")

    def down(_team: str, _login: str) -> bool:
        raise OSError("GitHub is down")

    assert "and members of teams cannot be asked for" in (allowed(command(), policy) or "")
    assert "and who is in my-org/team could not be found out" in (allowed(command(), policy, in_team=down) or "")


def group(text: str | None, branch: str = "main", pull_request: int | None = None) -> str | None:
    concurrency = Concurrency(group=text)
    return group_of(concurrency, git={"branch": branch}, params={"a": 1}, project="hello", pull_request=pull_request)


def test_a_group_is_made_of_what_is_known_before_the_run() -> None:
    assert group("{{ git.branch }}") == "main"
    assert group("{{ project }}-{{ params.a }}-{{ pull_request.number or 'push' }}") == "hello-1-push"
    assert group("{{ project }}-{{ pull_request.number }}", pull_request=7) == "hello-7"


def test_an_empty_group_is_none() -> None:
    assert group("{{ git.branch }}", branch="") is None
    assert group(None) is None
    assert group_of(None, git={}, params={}, project="x", pull_request=None) is None


def test_a_group_that_cannot_be_made_is_an_error() -> None:
    with pytest.raises(InputError, match="the concurrency group has 300 characters; at most 200 are allowed"):
        group("{{ git.branch }}", branch="x" * 300)
    with pytest.raises(ExpressionError):
        group("{{ 1 / 0 }}")
