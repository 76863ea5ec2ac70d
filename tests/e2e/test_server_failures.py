"""What cannot become a run says so, what comes twice becomes one, and what GitHub could not hear it hears later."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from tests.e2e.cli_process import until
from tests.e2e.server import TAKES, Repository, ServerProcess, server_process
from tests.e2e.server_events import NOTHING, push, rerequested
from tests.integration.gateway_server import GatewayServer
from tests.integration.github_server import github_server

WORKFLOW = """
name: deliver
on: push
stages:
  - name: all
    steps:
      - {id: greet, run: shell, with: {command: 'echo hello'}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with github_server() as github, server_process(tmp_path_factory.mktemp("failures"), github) as running:
        yield running


@pytest.fixture(scope="module")
def shop(server: ServerProcess) -> Repository:
    return server.repository("shop", {"maestro.yaml": WORKFLOW})


def test_a_wrong_workflow_is_shown_at_its_place_and_a_corrected_one_runs(
    server: ServerProcess, shop: Repository
) -> None:
    delivery = server.push(shop, {"maestro.yaml": WORKFLOW.replace("run: shell", "run: shel")})
    outcome = server.outcome(delivery)
    assert outcome.state == "dead"
    assert "shel" in outcome.reason
    check = server.check(shop.head, "failure")
    (annotation,) = server.github.check_runs[check["id"]]["annotations"]
    assert (annotation["path"], annotation["start_line"]) == ("maestro.yaml", 6)
    assert "shel" in annotation["message"]
    dead = server.maestro(shop, "hooks", "list", "--state", "dead", "--json").json()["hooks"]
    assert delivery in [one["delivery"] for one in dead]
    run = server.delivered(server.push(shop, {"maestro.yaml": WORKFLOW}))
    assert run.status == DagsterRunStatus.SUCCESS
    server.check(shop.head, "success")


def test_a_commit_that_was_pushed_away_is_dead_with_that_reason(server: ServerProcess, shop: Repository) -> None:
    kept = shop.head
    lost = shop.change({"lost.txt": "lost"}, ref="refs/heads/lost")
    shop.clone.git("reset", "-q", "--hard", kept)
    shop.clone.git("push", "-q", "origin", ":refs/heads/lost")
    shop.clone.git("--git-dir", str(shop.origin), "gc", "-q", "--prune=now")
    outcome = server.outcome(server.send(push(shop.full_name, lost, ref="refs/heads/lost")))
    assert outcome.state == "dead"
    assert lost[:12] in outcome.reason
    assert "force-pushed" in outcome.reason


def test_a_branch_that_was_deleted_starts_nothing(server: ServerProcess, shop: Repository) -> None:
    hook = push(shop.full_name, NOTHING, before=shop.head, ref="refs/heads/old")
    outcome = server.outcome(server.send(hook))
    assert (outcome.state, outcome.reason) == ("nothing", "branch 'old' was deleted")


def test_what_came_before_its_project_was_registered_is_replayed(server: ServerProcess) -> None:
    late = server.repository("late", {"maestro.yaml": WORKFLOW}, register=False)
    delivery = server.send(push(late.full_name, late.head))
    outcome = server.outcome(delivery)
    assert outcome.state == "dead"
    assert "maestro projects add" in outcome.reason
    server.register(late)
    replayed = server.maestro(late, "hooks", "replay", delivery)
    assert replayed.code == 0, replayed.text
    run = server.delivered(delivery)
    assert run.status == DagsterRunStatus.SUCCESS, server.story(run.run_id)


def test_the_same_delivery_again_starts_nothing_more(server: ServerProcess, shop: Repository) -> None:
    sha = shop.change()
    first = server.send(push(shop.full_name, sha))
    run_id = server.started(first)
    assert server.send(push(shop.full_name, sha), first) == first
    assert server.started(server.push(shop)) != run_id  # What came later was taken, so the repetition was too.
    assert len(server.runs(shop, delivery=f"github:{first}")) == 1


def test_a_delivery_to_two_gateways_at_once_starts_one_run(
    server: ServerProcess, shop: Repository, tmp_path: Path
) -> None:
    second = GatewayServer(server.home, tmp_path / "gateway.log")
    second.start()
    try:
        sha = shop.change()
        hook = push(shop.full_name, sha)
        places = [server.gateway, f"http://127.0.0.1:{second.port}"] * 4
        with ThreadPoolExecutor(len(places)) as pool:
            list(pool.map(lambda place: server.send(hook, "the-same", gateway=place), places))
        server.delivered("the-same")
        server.started(server.push(shop))
        assert len(server.runs(shop, delivery="github:the-same")) == 1
    finally:
        second.stop()
        second.client.close()


def test_a_check_that_is_asked_for_again_runs_again(server: ServerProcess, shop: Repository) -> None:
    first = server.delivered(server.push(shop))
    check = server.check(shop.head, "success")
    again = server.delivered(server.send(rerequested(shop.full_name, check)))
    assert again.run_id != first.run_id
    assert again.status == DagsterRunStatus.SUCCESS, server.story(again.run_id)
    server.check(shop.head, "success", count=2)


def test_what_github_could_not_be_told_is_told_once_it_is_back(tmp_path: Path) -> None:
    with github_server() as github, server_process(tmp_path, github, TAKES) as server:
        shop = server.repository("shop", {"maestro.yaml": WORKFLOW})
        github.down()
        shas = []
        for _ in range(3):
            run = server.delivered(server.push(shop))
            assert run.status == DagsterRunStatus.SUCCESS
            shas.append(shop.head)
        assert not server.outbox_empty()
        github.up()
        for sha in shas:
            server.check(sha, "success")
        until(server.outbox_empty, "the outbox is empty")
        told = [one.body["head_sha"] for one in github.writes() if one.path.endswith("/check-runs")]
        assert sorted(told) == sorted(shas)
