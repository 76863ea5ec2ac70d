"""Steps that ask a model, on a server: with its catalogue and keys, charged to whom they are for in its ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from maestro.ledger.store import Ledger
from maestro.server.projects import Projects, RegisteredProject
from tests.e2e.server import Repository, ServerProcess, server_process
from tests.e2e.server_events import pull_request
from tests.integration.github_server import github_server
from tests.integration.llm_gateways import KEY, catalogue_file
from tests.integration.model_server import ModelServer, model_server

WORKFLOW = """
name: deliver
on: [push, pull_request]
stages:
  - name: all
    steps:
      - {id: ask, run: llm.generate, with: {model: echo, text: 'hello from {{ git.short_sha }}'}}
      - {id: look, run: shell, with: {command: 'echo "keys: $(env | grep -c a-key-of-the-tests)"'}}
"""
CHEAPER = """
providers: {local: {kind: openai, api_base: "http://127.0.0.1:9/v1", key: "env:SHOP_TOKEN"}}
models: {echo: {provider: local, price: free}}
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: ModelServer) -> Iterator[ServerProcess]:
    """A server whose own models.yaml names one model."""
    folder = tmp_path_factory.mktemp("models")
    environment = {"TEST_KEY": KEY, "OLLAMA_HOST": "127.0.0.1:9"}
    with github_server() as github, server_process(folder, github, environment=environment) as running:
        catalogue_file(running.home.folder, provider.url, {"echo": {}})
        yield running


@pytest.fixture(scope="module")
def shop(server: ServerProcess) -> Repository:
    made = server.repository("shop", {"maestro.yaml": WORKFLOW}, register=False)
    about = RegisteredProject("shop", str(made.origin), tenant="acme", repository=made.full_name, default_branch="main")
    Projects(server.engine).add(about)
    return made


def test_a_model_step_of_a_pull_request_is_charged_in_the_servers_ledger(
    server: ServerProcess, shop: Repository, provider: ModelServer
) -> None:
    base = shop.head
    sha = shop.change({"a.txt": "a"}, ref="refs/heads/topic")
    run = server.delivered(server.send(pull_request(shop.full_name, 7, sha, base, author="boss")))
    assert run.status == DagsterRunStatus.SUCCESS, server.story(run.run_id)
    record = server.records(shop, run.run_id)["all/ask"]
    assert record.values["answer"] == f"hello from {sha[:8]}"
    assert provider.keys[-1] == f"Bearer {KEY}"
    assert "keys: 0" in server.log(shop, run.run_id, "all/look")
    with ledger(server) as kept:
        (charge,) = kept.charges(unit="usd")
        assert kept.check() == []
        assert kept.reservations() == []
        (counted,) = kept.charges(unit="runs")
    whose = charge.attribution
    assert (whose.tenant, whose.project, whose.pull_request, whose.run) == ("acme", "shop", 7, run.run_id)
    assert (whose.step, whose.actor, charge.model) == ("all/ask", "boss", "echo")
    assert charge.amount > 0
    assert float(charge.amount) / 1e9 == pytest.approx(record.cost_usd)
    assert (counted.attribution.run, counted.amount) == (run.run_id, 1)
    # Not in a ledger of its own.
    assert not list(Path(server.home.projects).rglob("ledger.db"))


def test_a_revisions_own_catalogue_changes_neither_prices_nor_endpoints(
    server: ServerProcess, shop: Repository, provider: ModelServer
) -> None:
    before = len(provider.calls)
    outcome = server.outcome(server.push(shop, {"models.yaml": CHEAPER}))
    assert outcome.state != "started"
    assert "prices, endpoints and keys are the server's" in outcome.reason
    assert len(provider.calls) == before


def test_a_forks_pull_request_asks_no_model(server: ServerProcess, shop: Repository, provider: ModelServer) -> None:
    before = len(provider.calls)
    base = shop.head
    sha = shop.change({"models.yaml": "", "a.txt": "forked"}, ref="refs/pull/8/head")
    run = server.delivered(server.send(pull_request(shop.full_name, 8, sha, base, fork="stranger/shop")))
    assert run.status == DagsterRunStatus.FAILURE
    assert "a run of somebody else's fork may not" in server.failure(run.run_id)
    assert len(provider.calls) == before
    with ledger(server) as kept:
        assert list(kept.charges(pull_request=8, unit="usd")) == []


def ledger(server: ServerProcess) -> Ledger:
    return Ledger.open(f"sqlite:///{server.home.folder / 'ledger.db'}")
