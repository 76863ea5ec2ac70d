"""From a signed push to the check at GitHub: ``maestro server`` with all its programs, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from maestro.cli.server_parts import CONDUCTOR
from tests.e2e.cli_process import Running, gone, started, until
from tests.e2e.server import Repository, ServerProcess, server_process
from tests.e2e.server_events import pull_request, push
from tests.integration.github_server import GitHubServer, github_server

WORKFLOW = """
name: deliver
on: [push, pull_request]
stages:
  - name: all
    steps:
      - {id: greet, run: shell, with: {command: 'echo hello from $(cat name.txt)'}, inputs: [name.txt]}
"""
FILES = {"maestro.yaml": WORKFLOW, "name.txt": "one"}


@contextmanager
def whole_server(
    folder: Path, github: GitHubServer, database: str | None = None
) -> Iterator[tuple[ServerProcess, Repository, Running]]:
    """``maestro server``, with a repository registered by ``maestro projects add``; ends on SIGTERM without a trace."""
    server = ServerProcess.new(folder, github, database=database)
    shop = server.repository("shop", FILES, register=False)
    with started(shop.clone, "server") as running:
        running.says("the server is ready")
        words = ("--provider", "github", "--repository", shop.full_name, "--name", shop.name)
        ended = server.maestro(shop, "projects", "add", str(shop.origin), *words)
        assert ended.code == 0, ended.text
        yield server, shop, running
        family = running.family()
        running.process.terminate()
        assert running.end() == 0, running.text
    gone(family)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, Repository, Running]]:
    database = None
    with ExitStack() as stack:
        if request.param == "postgresql":
            from tests.integration.postgres_server import postgres_database

            database = stack.enter_context(postgres_database(request.getfixturevalue("postgres_url")))
        github = stack.enter_context(github_server())
        yield stack.enter_context(whole_server(tmp_path_factory.mktemp(f"whole-{request.param}"), github, database))


def test_a_signed_push_is_shown_as_a_completed_check(whole: tuple[ServerProcess, Repository, Running]) -> None:
    server, shop, _ = whole
    delivery = server.push(shop, {"name.txt": "two"})
    run = server.delivered(delivery)
    assert run.status.value == "SUCCESS", server.story(run.run_id)
    check = server.check(shop.head, "success")
    assert check["name"] == "maestro / deliver"
    assert check["external_id"] == run.run_id
    assert check["details_url"].endswith(f"/runs/{run.run_id}")
    assert "greet" in check["output"]["summary"]
    assert server.log(shop, run.run_id, "greet") == "hello from two\n"
