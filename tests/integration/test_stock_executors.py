"""Dagster's own executors carry out a workflow too, chosen by a profile."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from maestro.profile import load_profile
from tests.integration.delivery import Delivery

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


@pytest.mark.parametrize("executor", ["in_process", "multiprocess"])
def test_a_stock_executor_runs_the_same_workflow_and_fills_the_same_cache(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "profile"
    shutil.copytree(load_profile("default").folder, folder)
    settings = folder / "settings.yaml"
    settings.write_text(settings.read_text().replace("executor: maestro", f"executor: {executor}"))
    monkeypatch.setenv("MAESTRO_PROJECT", "")
    monkeypatch.setenv("MAESTRO_PROFILE", "")
    root = tmp_path / "shop"
    root.mkdir()
    delivery = Delivery(root, load_profile(str(folder)))
    delivery.git("init", "-q", "-b", "main")
    delivery.workflow(WORKFLOW)
    run = delivery.run()
    assert run.passed, run.failures()
    assert run.records["build/make"].passed
    assert not run.records["check/bad"].passed
    log = run.records["finally/tell"].log
    assert log is not None
    assert delivery.store().get_bytes(log.sha256) == b"read passed=true\n"
    assert replace(delivery, profile=load_profile("default")).run().records["check/read"].cache == "hit"
