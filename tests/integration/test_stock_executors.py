"""Dagster's own executors carry out a workflow too, chosen by a profile."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from maestro.ledger.store import Ledger
from maestro.profile import load_profile
from tests.integration.delivery import Delivery
from tests.integration.llm_gateways import KEY, catalogue_file
from tests.integration.model_server import model_server

WORKFLOW = """
    name: flow
    project: shop
    stages:
      - name: build
        steps:
          - {id: make, run: shell, with: {command: 'mkdir -p dist && echo made > dist/out.txt'}, outputs: [dist/out.txt]}
      - name: check
        parallel:
          - {id: read, run: shell, with: {command: 'cat dist/out.txt'}}
          - {id: bad, run: shell, with: {command: 'exit 1'}, continue_on_error: true}
    finally:
      - {id: tell, run: shell, with: {command: 'echo "read passed={{ steps.read.passed }}"'}}
    """

ASKING = """
    name: flow
    project: shop
    budget: {run: {usd: 1, gigabytes: 1}, month: {runs: 1}}
    stages:
      - name: ask
        parallel:
          - {id: one, run: llm.generate, with: {model: echo, text: the first}}
          - {id: two, run: llm.generate, with: {model: echo, text: the second}}
    """


def delivered_by(executor: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    """A repository whose profile names this executor."""
    profile = folder / "profile"
    shutil.copytree(load_profile("default").folder, profile)
    settings = profile / "settings.yaml"
    settings.write_text(settings.read_text().replace("executor: maestro", f"executor: {executor}"))
    monkeypatch.setenv("MAESTRO_PROJECT", "")
    monkeypatch.setenv("MAESTRO_PROFILE", "")
    root = folder / "shop"
    root.mkdir()
    delivery = Delivery(root, load_profile(str(profile)))
    delivery.git("init", "-q", "-b", "main")
    return delivery


@pytest.mark.parametrize("executor", ["in_process", "multiprocess"])
def test_a_stock_executor_runs_the_same_workflow_and_fills_the_same_cache(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = delivered_by(executor, tmp_path, monkeypatch)
    delivery.workflow(WORKFLOW)
    run = delivery.run()
    assert run.passed, run.failures()
    assert run.records["build/make"].passed
    assert not run.records["check/bad"].passed
    log = run.records["finally/tell"].log
    assert log is not None
    assert delivery.store().get_bytes(log.sha256) == b"read passed=true\n"
    assert replace(delivery, profile=load_profile("default")).run().records["check/read"].cache == "hit"


def test_each_process_of_a_run_has_a_gateway_and_all_are_counted_as_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    delivery = delivered_by("multiprocess", tmp_path, monkeypatch)
    with model_server() as server:
        catalogue_file(delivery.root, server.url, {"echo": {}})
        delivery.workflow(ASKING)
        run = delivery.run()
    assert run.passed, run.failures()
    assert [run.records[f"ask/{name}"].values["answer"] for name in ("one", "two")] == ["the first", "the second"]
    with Ledger.open(f"sqlite:///{delivery.project.home / 'ledger.db'}") as ledger:
        charges = list(ledger.charges(run=run.run_id))
        assert ledger.check() == []
        assert ledger.reservations() == []
    paid = {one.attribution.step: one.amount for one in charges if one.unit == "usd"}
    assert sorted(map(str, paid)) == ["ask/one", "ask/two"]
    assert min(paid.values()) > 0
    assert sum(one.amount for one in charges if one.unit == "runs") == 1
    # What each process has left behind, not only the first that wrote.
    kept = sum(one.size for record in run.records.values() for one in record.outputs)
    assert sum(one.amount for one in charges if one.unit == "gigabytes") == kept
