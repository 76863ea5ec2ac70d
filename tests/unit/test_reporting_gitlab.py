"""What GitLab is told, and how often."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from maestro.errors import InputError
from maestro.outbox import Message
from maestro.reporting.to_gitlab import api_of, carry_out
from maestro.server.projects import RegisteredProject

PROJECT = RegisteredProject(
    "shop", "https://gitlab.example/acme/shop.git", provider="gitlab", repository="acme/shop", credentials="env:TOKEN"
)
STATUS = Message("shop", "1", "1", "gitlab.status", {"sha": "abc", "body": {"state": "success", "name": "m"}})
NOTE = Message("shop", "1", "1", "gitlab.comment", {"number": 5, "marker": "<!-- m -->", "text": "<!-- m --> x", "create": True})  # fmt: skip


class Notes(dict[str, str]):
    """What is remembered."""

    def recall(self, key: str) -> str | None:
        return self.get(key)

    def remember(self, key: str, value: str) -> None:
        self[key] = value


class GitLab:
    """Answers as GitLab does."""

    def __init__(self) -> None:
        self.notes: dict[int, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.transition_refused = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer glpat"
        path = request.url.raw_path.decode().partition("?")[0].removeprefix("/api/v4")
        self.asked.append(f"{request.method} {path}")
        body = json.loads(request.content) if request.content else None
        if path == "/user":
            return httpx.Response(200, json={"id": 7})
        if "/statuses/" in path:
            if self.transition_refused:
                return httpx.Response(400, json={"message": "Cannot transition status via :succeed from :success"})
            return httpx.Response(201, json={"id": 1})
        if request.method == "POST":
            return httpx.Response(201, json=self.add(body["body"], 7))
        if request.method == "PUT":
            number = int(path.rpartition("/")[2])
            if number not in self.notes:
                return httpx.Response(404, json={"message": "404 Not found"})
            self.notes[number]["body"] = body["body"]
            return httpx.Response(200, json=self.notes[number])
        return httpx.Response(200, json=list(self.notes.values()))

    def add(self, body: str, author: int) -> dict[str, Any]:
        made = {"id": len(self.notes) + 1, "body": body, "author": {"id": author}}
        self.notes[made["id"]] = made
        return made


def told(gitlab: GitLab, message: Message, memory: Notes | None = None, project: RegisteredProject = PROJECT) -> Any:
    http = httpx.Client(transport=httpx.MockTransport(gitlab))
    return carry_out(http, {"TOKEN": "glpat"}, project, message, Notes() if memory is None else memory)


def test_a_status_is_set_in_the_project_named_by_its_path() -> None:
    gitlab = GitLab()
    told(gitlab, STATUS)
    assert gitlab.asked == ["POST /projects/acme%2Fshop/statuses/abc"]


def test_a_status_that_is_set_already_is_set() -> None:
    gitlab = GitLab()
    gitlab.transition_refused = True
    assert told(gitlab, STATUS) == {}


def test_a_note_is_written_once_and_then_changed() -> None:
    gitlab, memory = GitLab(), Notes()
    told(gitlab, NOTE, memory)
    told(gitlab, NOTE, memory)
    told(gitlab, NOTE)
    assert len(gitlab.notes) == 1


def test_a_note_of_somebody_else_with_our_marker_is_not_ours() -> None:
    gitlab = GitLab()
    gitlab.add("<!-- m --> all is well", 8)
    told(gitlab, NOTE)
    assert [one["body"] for one in gitlab.notes.values()] == ["<!-- m --> all is well", "<!-- m --> x"]


def test_a_note_that_somebody_deleted_is_written_anew() -> None:
    gitlab, memory = GitLab(), Notes()
    told(gitlab, NOTE, memory)
    gitlab.notes.clear()
    told(gitlab, NOTE, memory)
    assert len(gitlab.notes) == 1


def test_without_a_token_it_is_said_which_one_is_needed() -> None:
    project = RegisteredProject("shop", "https://gitlab.example/acme/shop.git", provider="gitlab")
    with pytest.raises(InputError, match="there are no credentials for project 'shop' at GitLab") as raised:
        told(GitLab(), STATUS, project=project)
    assert raised.value.next_step == "register it with a reference to a project access token of scope api"


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://gitlab.example/acme/shop.git", "https://gitlab.example/api/v4"),
        ("http://127.0.0.1:8080/acme/shop.git", "http://127.0.0.1:8080/api/v4"),
        ("git@gitlab.example:acme/shop.git", "https://gitlab.example/api/v4"),
        ("ssh://git@gitlab.example:2222/acme/shop.git", "https://gitlab.example/api/v4"),
    ],
)
def test_the_api_is_at_the_server_the_source_comes_from(url: str, api: str) -> None:
    assert api_of(url) == api


def test_a_url_without_a_host_is_refused() -> None:
    with pytest.raises(InputError, match="names no GitLab server"):
        api_of("/srv/git/shop.git")
