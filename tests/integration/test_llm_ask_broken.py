"""`maestro llm ask` when the answer ends in the middle: what came, then the error on a line of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.llm_gateways import KEY, catalogue_file
from tests.integration.model_server import ModelServer, model_server
from tests.unit.money_project import MoneyProject, money_project


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: ModelServer) -> MoneyProject:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    monkeypatch.setenv("TEST_KEY", KEY)
    made = money_project(tmp_path / "shop")
    catalogue_file(made.root, provider.url, {"truncated": {}})
    return made


def test_the_error_begins_a_line_and_names_the_decision(shop: MoneyProject) -> None:
    said = shop.run("llm", "ask", "hello", "--model", "truncated")
    assert (said.code, said.out) == (1, "begun\n")
    assert said.err.startswith("error: the answer of truncated ended in the middle, after 5 characters: ")
    found = re.search(r"next: ask again; `maestro llm why (dec_\w+)` says what was tried and what it cost", said.err)
    assert found is not None
    assert "starting at at" not in said.err and "received" not in said.err
    assert shop.run("llm", "why", found[1]).code == 0


def test_json_has_nothing_before_the_error(shop: MoneyProject) -> None:
    said = shop.run("llm", "ask", "hello", "--model", "truncated", "--json")
    assert (said.code, said.out) == (1, "")
    assert "`maestro llm why dec_" in said.err
