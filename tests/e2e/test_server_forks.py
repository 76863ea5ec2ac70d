"""Pull requests of people who may not write to the repository, and what people say in pull requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from maestro.runs.tags import PARTITION_TAG
from tests.e2e.server import Repository, ServerProcess, server_process, statuses
from tests.e2e.server_events import comment, pull_request, push, rerequested
from tests.integration.github_server import github_server

TOKEN = "tell-nobody-4711"
BASE = """
name: deliver
on: [push, pull_request]
secrets: [SHOP_TOKEN]
stages:
  - name: all
    steps:
      - id: look
        run: shell
        with:
          command: |
            echo "branch {{ git.branch }}"
            echo "secrets: $(env | grep -c 4711)"
            cat HOME/hook.secret || true
            cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep SHOP_TOKEN || true
            bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT' && echo 'network open' || echo 'network closed'
        inputs: [name.txt]
      - id: publish
        run: shell
        secrets: [SHOP_TOKEN]
        when: '{{ run.trusted }}'
        with: {command: 'echo published with ${#SHOP_TOKEN} characters'}
"""
EVIL = """
name: deliver
on: [push, pull_request]
stages:
  - name: all
    steps:
      - {id: evil, run: shell, with: {command: 'echo mine'}}
"""
NAMES_SECRETS = """
name: naming
on: [push, pull_request]
secrets: [SHOP_TOKEN]
stages:
  - name: all
    steps:
      - {id: publish, run: shell, secrets: [SHOP_TOKEN], with: {command: 'echo published'}}
"""
WAITING = """
name: waiting
on: [push, pull_request]
stages:
  - name: all
    steps:
      - {id: first, run: shell, with: {command: 'echo first'}}
      - {id: wait, run: shell, with: {command: 'until [ -e GATE ]; do sleep 0.05; done; cat GATE; grep -q good GATE'}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("forks")
    with (
        github_server() as github,
        server_process(folder, github, environment={"SHOP_TOKEN": TOKEN}) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def shop(server: ServerProcess) -> Repository:
    port = server.gateway.rpartition(":")[2]
    base = BASE.replace("HOME", str(server.home.folder)).replace("PORT", port)
    made = server.repository("shop", {"maestro.yaml": base, "name.txt": "one"})
    server.secret(made, "SHOP_TOKEN", TOKEN)
    return made


@pytest.fixture(scope="module")
def fork(server: ServerProcess, shop: Repository) -> tuple[str, str]:
    """A fork's pull request 7, which has run: its commit, and the run."""
    base = shop.head
    sha = shop.change({"maestro.yaml": EVIL, "name.txt": "forked"}, ref="refs/pull/7/head")
    shop.clone.git("reset", "-q", "--hard", base)
    run = server.delivered(server.send(pull_request(shop.full_name, 7, sha, base, fork="stranger/shop", branch="main")))
    return sha, run.run_id


def test_a_forks_pull_request_runs_the_base_branchs_workflow_without_secrets_and_network(
    server: ServerProcess, shop: Repository, fork: tuple[str, str]
) -> None:
    sha, run_id = fork
    run = server.run(run_id)
    assert run.status == DagsterRunStatus.SUCCESS, server.story(run_id)
    assert set(server.records(shop, run_id)) == {"all/look"}
    log = server.log(shop, run_id, "all/look")
    assert "branch pull/7" in log
    assert "secrets: 0" in log
    assert "network closed" in log
    assert TOKEN not in log
    assert "what GitHub and the server know" not in log
    assert run.tags["maestro/untrusted"] == "true"
    assert run.tags["maestro/author"] == "stranger"
    server.check(sha, "success")


def test_nothing_a_fork_has_made_is_used_by_a_trusted_run(
    server: ServerProcess, shop: Repository, fork: tuple[str, str]
) -> None:
    sha, run_id = fork
    shop.clone.git("push", "-q", "origin", f"{sha}:refs/heads/same")
    own = shop.change({"name.txt": "forked"})
    run = server.delivered(server.send(push(shop.full_name, own)))
    record = server.records(shop, run.run_id)["all/look"]
    assert record.made_by_run in (None, run.run_id), f"taken from {run_id}"
    assert run.status == DagsterRunStatus.SUCCESS, server.story(run.run_id)
    assert "network open" in server.log(shop, run.run_id, "all/look")
    assert "published with 16 characters" in server.log(shop, run.run_id, "all/publish")


def test_a_strangers_approval_counts_for_nothing(
    server: ServerProcess, shop: Repository, fork: tuple[str, str]
) -> None:
    sha, run_id = fork
    said = comment(shop.full_name, 7, f"/maestro approve {sha}", author="stranger", association="NONE")
    outcome = server.outcome(server.send(said))
    assert (outcome.state, outcome.runs) == ("nothing", ())
    assert "stranger may not say /maestro approve here" in outcome.reason
    assert [run.run_id for run in server.runs(shop, pull_request="7")] == [run_id]


def test_a_members_approval_of_a_commit_makes_a_trusted_run_of_it(
    server: ServerProcess, shop: Repository, fork: tuple[str, str]
) -> None:
    sha, run_id = fork
    said = comment(shop.full_name, 7, f"/maestro approve {sha}", author="boss", association="MEMBER")
    run = server.delivered(server.send(said))
    assert run.run_id != run_id
    assert "maestro/untrusted" not in run.tags
    # Trusted is the fork's source, not its workflow.
    assert set(server.records(shop, run.run_id)) == {"all/look", "all/publish"}, server.story(run.run_id)
    assert "published with 16 characters" in server.log(shop, run.run_id, "all/publish")
    server.check(sha, "success", count=2)


def test_an_approval_names_the_commit_that_was_looked_at(
    server: ServerProcess, shop: Repository, fork: tuple[str, str]
) -> None:
    for words, reason in [("", "name the commit you have looked at"), (f" {'1' * 40}", "the pull request stands at")]:
        said = comment(shop.full_name, 7, f"/maestro approve{words}", author="boss", association="MEMBER")
        outcome = server.outcome(server.send(said))
        assert outcome.state == "nothing"
        assert reason in outcome.reason


def test_a_check_of_a_fork_that_is_asked_for_again_is_as_untrusted_as_before(
    server: ServerProcess, shop: Repository, fork: tuple[str, str]
) -> None:
    sha, run_id = fork
    check = next(one for one in server.github.checks_of(sha) if one["external_id"] == run_id)
    run = server.delivered(server.send(rerequested(shop.full_name, check, branch=None)))
    assert run.tags["maestro/untrusted"] == "true"
    assert set(server.records(shop, run.run_id)) == {"all/look"}


def test_a_step_that_names_secrets_fails_in_a_forks_run_and_says_why(server: ServerProcess) -> None:
    repository = server.repository("naming", {"maestro.yaml": NAMES_SECRETS})
    base = repository.head
    sha = repository.change({"a.txt": "a"}, ref="refs/pull/1/head")
    hook = pull_request(repository.full_name, 1, sha, base, fork="stranger/naming")
    run = server.delivered(server.send(hook))
    assert run.status == DagsterRunStatus.FAILURE
    reason = "step 'all/publish' names secrets, and a run of somebody else's fork gets none"
    assert reason in server.failure(run.run_id)
    check = server.check(sha, "failure")
    assert reason in check["output"]["summary"]


def test_retry_resumes_the_failed_run_of_a_pull_request(server: ServerProcess) -> None:
    repository, gate = waiting(server, "retried")
    gate.write_text("bad")
    failed = server.delivered(opened(server, repository))
    assert failed.status == DagsterRunStatus.FAILURE
    gate.write_text("good")
    said = comment(repository.full_name, 2, "/maestro retry", author="boss", association="COLLABORATOR")
    run = server.delivered(server.send(said))
    assert run.status == DagsterRunStatus.SUCCESS, server.story(run.run_id)
    assert run.parent_run_id == failed.run_id
    assert statuses(server.runs(repository, pull_request="2")) == ["FAILURE", "SUCCESS"]


def test_cancel_ends_the_runs_of_a_pull_request(server: ServerProcess) -> None:
    repository, gate = waiting(server, "ended")
    run_id = server.started(opened(server, repository))
    server.begins(run_id, "all/wait")
    said = comment(repository.full_name, 2, "/maestro cancel", author="boss", association="OWNER")
    outcome = server.outcome(server.send(said))
    assert outcome.reason == "cancelled 1 run(s)"
    assert server.ended(run_id).status == DagsterRunStatus.CANCELED
    assert not gate.exists()
    server.check(server.run(run_id).tags[PARTITION_TAG], "cancelled")


def waiting(server: ServerProcess, name: str) -> tuple[Repository, Path]:
    gate = server.home.folder.parent / f"{name}.gate"
    return server.repository(name, {"maestro.yaml": WAITING.replace("GATE", str(gate))}), gate


def opened(server: ServerProcess, repository: Repository) -> str:
    base = repository.head
    sha = repository.change({"a.txt": "a"}, ref="refs/heads/topic")
    return server.send(pull_request(repository.full_name, 2, sha, base, author="boss"))
