"""Every payload GitHub's own examples hold (npm @octokit/webhooks-examples) is read, and asks for what it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.events import Other, PullRequest, Push, read_event
from maestro.triggers import Command, Nothing, Wanted, refusal, wanted
from maestro.workflow.triggers import Triggers

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".cache" / "node"
EVERYTHING = Triggers.model_validate(dict.fromkeys(["push", "pull_request", "release"]))


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, dict[str, Any]]]:
    """Event and payload of each example; the package is installed on first use."""
    subprocess.run(
        [ROOT / "scripts" / "setup-node"], env={**os.environ, "PYTHON": sys.executable}, check=True, timeout=600
    )
    index = NODE / "node_modules" / "@octokit" / "webhooks-examples" / "api.github.com" / "index.json"
    found = json.loads(index.read_text(encoding="utf-8"))
    return [(event["name"], example) for event in found for example in event["examples"]]


def of(examples: list[tuple[str, dict[str, Any]]], event: str, action: str | None = None) -> Iterator[Any]:
    """What the examples of one event ask for."""
    found = [body for name, body in examples if name == event and action in (None, body.get("action"))]
    assert found
    for body in found:
        yield wanted(read_event("github", event, json.dumps(body).encode()))


def test_all_examples_are_read(examples: list[tuple[str, dict[str, Any]]]) -> None:
    events = [read_event("github", name, json.dumps(body).encode()) for name, body in examples]
    assert len(events) == 329
    assert sum(isinstance(event, Push) for event in events) == 7
    assert sum(isinstance(event, PullRequest) for event in events) == 29
    known = {"push", "pull_request", "issue_comment", "release", "deployment", "deployment_status", "workflow_run"}
    assert not any(isinstance(event, Other) and event.event in known for event in events)


def test_every_example_asks_for_something_or_says_why_not(examples: list[tuple[str, dict[str, Any]]]) -> None:
    for name, body in examples:
        asked = wanted(read_event("github", name, json.dumps(body).encode()))
        assert isinstance(asked, Wanted | Command) or asked.reason


def test_pushes_start_a_run_of_their_commit_unless_the_ref_is_gone(
    examples: list[tuple[str, dict[str, Any]]],
) -> None:
    found = list(of(examples, "push"))
    runs = [asked for asked in found if isinstance(asked, Wanted)]
    assert {(asked.branch, asked.tag) for asked in runs} == {("master", None), (None, "simple-tag")}
    assert all(asked.sha == "6113728f27ae82c7b1a177c8d03f9e96e0adf246" for asked in runs)
    assert {asked.reason for asked in found if isinstance(asked, Nothing)} == {"tag 'simple-tag' was deleted"}
    assert all(refusal(EVERYTHING, asked, list) is None for asked in runs)


@pytest.mark.parametrize("action", ["opened", "synchronize", "reopened"])
def test_pull_requests_start_a_run_of_their_head(examples: list[tuple[str, dict[str, Any]]], action: str) -> None:
    for asked in of(examples, "pull_request", action):
        assert isinstance(asked, Wanted)
        assert (asked.sha, asked.branch) == ("ec26c3e57ca3a959ca5aad62de7213c562f8c821", "changes")
        assert (asked.base, asked.base_branch) == ("f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "master")
        assert (asked.pull_request, asked.author, asked.trusted) == (2, "Codertocat", True)
        assert refusal(EVERYTHING, asked, list) is None
        only_main = Triggers.model_validate({"pull_request": {"branches": ["main"]}})
        assert refusal(only_main, asked, list) == "branch 'master' is not among on.pull_request.branches"


def test_closed_pull_requests_start_nothing(examples: list[tuple[str, dict[str, Any]]]) -> None:
    assert set(of(examples, "pull_request", "closed")) == {Nothing("pull request 2 is closed")}


def test_comments_that_hold_no_command_start_nothing(examples: list[tuple[str, dict[str, Any]]]) -> None:
    assert set(of(examples, "issue_comment")) == {Nothing("the comment holds no command")}
