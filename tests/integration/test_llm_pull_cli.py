"""``maestro llm pull``: fetched through Ollama, told as it comes, kept when it is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.ollama_server import FakeModel, Layer, OllamaServer, ollama_server
from tests.unit.money_project import MoneyProject, money_project

MIB = 1024**2


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(FakeModel("here:1b")) as running:
        running.registry["qwen3:1.7b"] = [Layer("sha256:" + "a" * 64, 80 * MIB), Layer("sha256:" + "b" * 64, 20 * MIB)]
        yield running


@pytest.fixture
def shop(tmp_path: Path, server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    return money_project(tmp_path / "shop")


def test_a_model_is_fetched_and_said_to_be_there(shop: MoneyProject, server: OllamaServer) -> None:
    said = shop.run("llm", "pull", "qwen3:1.7b")
    assert said.code == 0, said.err
    assert said.out.startswith("Ollama has qwen3:1.7b: ")
    assert "pulling manifest" in said.err
    assert "pulling: 100 MiB of 100 MiB" in said.err
    assert server.find("qwen3:1.7b") is not None


def test_for_programs_it_ends_with_one_object(shop: MoneyProject, server: OllamaServer) -> None:
    found = shop.run("llm", "pull", "qwen3:1.7b", "--json").json
    assert (found["model"], found["url"]) == ("qwen3:1.7b", server.url)
    assert re.fullmatch(r"[0-9a-f]{64}", found["digest"])


def test_a_model_that_is_not_ollama_s_has_nothing_to_fetch(shop: MoneyProject, server: OllamaServer) -> None:
    said = shop.run("llm", "pull", "grand")
    assert said.code == 2
    assert "there is nothing to fetch for 'grand': openai serves it, and not Ollama" in said.err
    assert server.asked("/api/pull") == []


@pytest.mark.parametrize(
    ("name", "what"),
    [("local-only", "'local-only' is a route"), ("", "no name of a model"), ("two words", "no name of a model")],
)
def test_what_names_no_model_is_told(shop: MoneyProject, name: str, what: str) -> None:
    said = shop.run("llm", "pull", name)
    assert (said.code, what in said.err) == (2, True)


def test_a_model_nobody_has_is_told_with_where_to_look(shop: MoneyProject) -> None:
    said = shop.run("llm", "pull", "qwen9:1b")
    assert said.code == 1
    assert "file does not exist" in said.err
    assert "look its name up at" in said.err
    assert "defect" not in said.err


def test_an_ollama_that_does_not_run_is_told(shop: MoneyProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    said = shop.run("llm", "pull", "qwen3:1.7b")
    assert (said.code, "start it with `ollama serve`" in said.err) == (1, True)


def test_stopped_in_the_middle_it_says_what_is_kept_and_goes_on_from_there(
    shop: MoneyProject, server: OllamaServer
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait_after_half(layer: Layer) -> None:
        if layer.done >= layer.total // 2:
            reached.set()
            go_on.wait(30)

    server.layer_read = wait_after_half
    command = [sys.executable, "-m", "maestro.cli", "--project", str(shop.root), "llm", "pull", "qwen3:1.7b"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as pulling:
        assert pulling.stderr is not None
        # What it has heard it has told.
        heard = []
        for line in pulling.stderr:
            heard.append(line)
            if "pulling: 20 MiB" in line:
                break
        assert reached.wait(30)
        pulling.send_signal(signal.SIGINT)
        errors = pulling.stderr.read()
        go_on.set()
        assert pulling.wait(30) == 130
    assert "20 MiB of 80 MiB have come and are kept; run it again to go on" in errors
    assert "Traceback" not in errors
    server.layer_read = lambda _layer: None
    kept = server.registry["qwen3:1.7b"][0].done
    assert kept >= 40 * MIB
    assert shop.run("llm", "pull", "qwen3:1.7b").code == 0
