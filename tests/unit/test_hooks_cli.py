"""`maestro hooks`: which webhooks are listed, how one is shown, and what a replay does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maestro.cli.hooks_source import Hooks
from maestro.cli.main import group
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError
from maestro.inbox import NewDelivery, Outcome
from maestro.server.home import find_server
from maestro.server.wake import Waiter

Maestro = Callable[..., Result]


@dataclass(frozen=True)
class Server:
    folder: Path
    hooks: Hooks

    def take(self, delivery: str, event: str = "push", project: str = "shop", **body: object) -> int:
        headers = {"x-github-event": event, "content-type": "application/json"}
        content = json.dumps(body).encode()
        return self.hooks.inbox.append(NewDelivery("github", delivery, event, project, headers, content, "")).id

    def settle(self, number: int, state: Any, reason: str, runs: tuple[str, ...] = (), project: str = "shop") -> None:
        next_at = datetime.now(UTC) + timedelta(hours=1) if state == "waiting" else None
        outcome = Outcome(number, state, reason, runs, attempts=5, next_at=next_at, project=project)
        self.hooks.outcomes.record(outcome)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    hooks = Hooks(find_server(tmp_path))
    yield Server(tmp_path, hooks)
    hooks.inbox.close()


@pytest.fixture
def maestro(server: Server) -> Maestro:
    def run(*arguments: str) -> Result:
        words = ["hooks", *arguments, "--home", str(server.folder)]
        return CliRunner().invoke(group(), words, obj=GlobalOptions(), standalone_mode=False)

    return run


def test_the_newest_webhook_comes_first_with_what_became_of_it(server: Server, maestro: Maestro) -> None:
    server.settle(server.take("a"), "started", "", ("run-1",))
    server.settle(server.take("b", "pull_request", action="opened"), "nothing", "no workflow wants it")
    server.take("c", project="")
    lines = maestro("list").output.splitlines()
    assert lines[1].endswith("new      not looked at yet")
    assert "pull_request/opened" in lines[2]
    assert "nothing  no workflow wants it" in lines[2]
    assert "started  run run-1" in lines[3]


def test_webhooks_are_listed_by_state_and_project(server: Server, maestro: Maestro) -> None:
    server.settle(server.take("a"), "dead", "no such commit")
    server.settle(server.take("b", project="site"), "dead", "no such branch", project="site")
    third = server.take("c")
    dead = json.loads(maestro("list", "--state", "dead", "--project", "site", "--json").output)["hooks"]
    assert [(one["delivery"], one["outcome"]["reason"]) for one in dead] == [("b", "no such branch")]
    new = json.loads(maestro("list", "--state", "new", "--json").output)["hooks"]
    assert [one["id"] for one in new] == [third]


def test_a_list_has_an_end(server: Server, maestro: Maestro) -> None:
    for number in range(5):
        server.take(str(number))
    found = json.loads(maestro("list", "--limit", "2", "--json").output)["hooks"]
    assert [one["delivery"] for one in found] == ["4", "3"]


def test_one_webhook_is_found_by_its_number_and_by_the_senders_id(server: Server, maestro: Maestro) -> None:
    number = server.take("72d3162e-cc78-11e3-81ab-4c9367dc0958", ref="refs/heads/main")
    by_number = json.loads(maestro("show", str(number), "--json").output)
    by_name = json.loads(maestro("show", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "--json").output)
    assert by_number == by_name
    assert by_number["body"] == {"ref": "refs/heads/main"}
    assert by_number["headers"]["x-github-event"] == "push"


def test_the_body_can_be_had_byte_for_byte(server: Server, maestro: Maestro) -> None:
    number = server.take("a", ref="refs/heads/grün")
    assert maestro("show", str(number), "--raw").stdout_bytes == json.dumps({"ref": "refs/heads/grün"}).encode()


def test_what_a_stranger_sent_cannot_move_the_cursor(server: Server, maestro: Maestro) -> None:
    number = server.take("a", ref="\x1b[2Jrefs")
    assert "\x1b" not in maestro("show", str(number)).output


def test_an_unknown_webhook_is_said_to_be_unknown(maestro: Maestro) -> None:
    result = maestro("show", "42")
    assert isinstance(result.exception, InputError)
    assert result.exception.what == "there is no webhook '42'"


def test_what_was_given_up_is_tried_again_at_once_and_with_new_attempts(server: Server, maestro: Maestro) -> None:
    number = server.take("a")
    server.settle(number, "dead", "GitHub does not answer")
    waiter = Waiter(find_server(server.folder), "conductor")
    assert "is tried again now" in maestro("replay", "--dead").output
    assert waiter.wait(10)
    waiter.close()
    (due,) = server.hooks.outcomes.unsettled(datetime.now(UTC))
    assert (due.inbox_id, due.attempts) == (number, 0)


def test_the_dead_of_one_project_are_replayed_alone(server: Server, maestro: Maestro) -> None:
    server.settle(server.take("a"), "dead", "x")
    site = server.take("b", project="site")
    server.settle(site, "dead", "x", project="site")
    done = json.loads(maestro("replay", "--dead", "--project", "site", "--json").output)["replayed"]
    assert [one["id"] for one in done] == [site]


def test_what_is_settled_is_not_done_again_by_mistake(server: Server, maestro: Maestro) -> None:
    dead, settled = server.take("a"), server.take("b")
    server.settle(dead, "dead", "x")
    server.settle(settled, "started", "", ("run-1",))
    result = maestro("replay", str(dead), str(settled))
    assert isinstance(result.exception, InputError)
    assert "is settled (started: run run-1)" in result.exception.what
    assert "--again" in (result.exception.next_step or "")
    kept = server.hooks.outcomes.get(dead)
    assert kept is not None and kept.state == "dead"


def test_again_makes_a_new_webhook_of_the_same_content_each_time(server: Server, maestro: Maestro) -> None:
    first = server.take("a", ref="refs/heads/main")
    server.settle(first, "started", "", ("run-1",))
    second = json.loads(maestro("replay", str(first), "--again", "--json").output)["replayed"][0]["new"]
    server.settle(second, "started", "", ("run-2",))
    third = json.loads(maestro("replay", str(second), "--again", "--json").output)["replayed"][0]["new"]
    found = [server.hooks.inbox.get(number) for number in (first, second, third)]
    assert [one and one.delivery for one in found] == ["a", "a#replay-1", "a#replay-2"]
    assert len({one and one.body for one in found}) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "name webhooks by their ids"),
        (("1", "--dead"), "name webhooks by their ids"),
        (("1", "--project", "shop"), "--project goes with --dead"),
    ],
)
def test_a_replay_of_nothing_or_of_everything_is_refused(
    maestro: Maestro, words: tuple[str, ...], complaint: str
) -> None:
    assert complaint in str(maestro("replay", *words).exception)


def test_a_server_that_has_taken_nothing_says_so(maestro: Maestro) -> None:
    assert maestro("list").output.strip() == "no webhook was taken"
