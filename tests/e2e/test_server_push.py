"""From a signed push to the check at GitHub: ``maestro server`` with all its programs, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.cli_process import gone, started, until
from tests.e2e.server import Repository, ServerProcess, server_process
from tests.e2e.server_events import pull_request
from tests.integration.github_server import github_server
from tests.integration.postgres_server import postgres_database

WORKFLOW = """
name: deliver
on: [push, pull_request]
stages:
  - name: all
    steps:
      - {id: greet, run: shell, with: {command: 'echo hello from $(cat name.txt)'}, inputs: [name.txt]}
"""
FILES = {"maestro.yaml": WORKFLOW, "name.txt": "one"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, Repository]]:
    """``maestro server``, with a repository that ``maestro projects add`` registers; SIGTERM ends all of it."""
    with ExitStack() as stack:
        postgres = request.param == "postgresql"
        url = request.getfixturevalue("postgres_url") if postgres else None
        database = stack.enter_context(postgres_database(url)) if url else None
        github = stack.enter_context(github_server())
        server = ServerProcess.new(tmp_path_factory.mktemp(request.param), github, database=database)
        stack.callback(server.close)
        shop = server.repository("shop", FILES, register=False)
        with started(shop.clone, "server") as running:
            running.says("the server is ready")
            words = ("--provider", "github", "--repository", shop.full_name, "--name", shop.name)
            ended = server.maestro(shop, "projects", "add", str(shop.origin), *words)
            assert ended.code == 0, ended.text
            yield server, shop
            family = running.family()
            running.process.terminate()
            assert running.end() == 0, running.text
        gone(family)


def test_a_signed_push_is_shown_as_a_completed_check(whole: tuple[ServerProcess, Repository]) -> None:
    server, shop = whole
    run = server.delivered(server.push(shop, {"name.txt": "two"}))
    assert run.status.value == "SUCCESS", server.story(run.run_id)
    check = server.check(shop.head, "success")
    assert check["name"] == "maestro / deliver"
    assert check["external_id"] == run.run_id
    assert check["details_url"].endswith(f"/runs/{run.run_id}")
    assert "greet" in check["output"]["summary"]
    assert server.log(shop, run.run_id, "all/greet").endswith("hello from two\n")


def test_the_webhook_and_the_run_are_shown_on_the_command_line(whole: tuple[ServerProcess, Repository]) -> None:
    server, shop = whole
    delivery = server.push(shop, {"name.txt": "listed"})
    run = server.delivered(delivery)
    (listed,) = server.maestro(shop, "hooks", "list", "--json", "--limit", "1").json()["hooks"]
    assert (listed["delivery"], listed["outcome"]["runs"]) == (delivery, [run.run_id])
    shown = server.maestro(shop, "hooks", "show", delivery)
    assert shop.head in shown.out
    status = server.maestro(shop, "status", run.run_id, "--remote", server.web, "--json")
    assert status.code == 0, status.text
    assert status.json()["state"] == "succeeded"


def test_a_pull_request_has_one_comment_that_is_kept_up_to_date(whole: tuple[ServerProcess, Repository]) -> None:
    server, shop = whole
    base = shop.head
    first = shop.change({"name.txt": "three"}, ref="refs/heads/topic")
    run = server.delivered(server.send(pull_request(shop.full_name, 3, first, base)))
    until(lambda: first[:7] in said(server), lambda: said(server))
    second = shop.change({"name.txt": "four"}, ref="refs/heads/topic")
    again = server.delivered(server.send(pull_request(shop.full_name, 3, second, base, action="synchronize")))
    until(lambda: second[:7] in said(server), lambda: said(server))
    assert run.run_id != again.run_id
    assert len(server.github.comments) == 1
    server.check(first, "success")
    server.check(second, "success")


def test_without_an_app_the_commit_gets_a_status(tmp_path: Path) -> None:
    with github_server() as github, server_process(tmp_path, github, app=False) as server:
        shop = server.repository("shop", FILES)
        run = server.delivered(server.push(shop))
        until(lambda: states(server, shop.head)[-1:] == ["success"], lambda: str(github.statuses))
        assert github.statuses[-1]["target_url"].endswith(f"/runs/{run.run_id}")
        assert not github.check_runs


def said(server: ServerProcess) -> str:
    return "\n".join(one["body"] for one in server.github.comments.values())


def states(server: ServerProcess, sha: str) -> list[str]:
    return [one["state"] for one in server.github.statuses if one["sha"] == sha]
