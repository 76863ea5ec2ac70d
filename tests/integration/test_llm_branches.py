"""Rules of routes about branches, for steps of runs: a run knows its branch, and a detached checkout has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.delivery import Delivery
from tests.integration.llm_gateways import KEY, catalogue_file
from tests.integration.model_server import ModelServer, model_server

WORKFLOW = """\
name: flow
project: shop
stages:
  - name: all
    steps:
      - {id: ask, run: llm.generate, cache: false, with: {route: review, text: hello}}
"""
ROUTES = {
    "review": {
        "candidates": ["echo", "count/3"],
        "objective": "pinned",
        "rules": [
            {"when": {"branches": ["main", "release/*"]}, "deny": ["echo"], "because": "nothing released is parroted"}
        ],
    }
}


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


def test_a_step_is_under_the_rules_of_the_branch_it_runs_on(
    tmp_path: Path, provider: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    shop = Delivery(tmp_path / "shop")
    shop.root.mkdir()
    shop.git("init", "-q", "-b", "main")
    catalogue_file(shop.root, provider.url, {"echo": {}, "count/3": {}}, routes=ROUTES)
    shop.workflow(WORKFLOW)
    answered = {}
    for branch in ("main", "topic", "release/1"):
        shop.git("checkout", "-q", "-B", branch)
        answered[branch] = shop.run().records["all/ask"].metadata["model"]
    assert answered == {"main": "count/3", "topic": "echo", "release/1": "count/3"}
    shop.git("checkout", "-q", "--detach")
    record = shop.run().records["all/ask"]
    assert record.metadata["model"] == "count/3"
    assert "nothing released is parroted (the branch of the request is not known)" in json.dumps(record.metadata)
