"""Ollama as a Dagster resource, used by an asset as a run uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from maestro.llm.model import ProviderError
from maestro.llm.ollama.pull import Progress
from resources.ollama import OllamaResource
from tests.integration.ollama_server import VERSION, FakeModel, Layer, OllamaServer, ollama_server


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(FakeModel("tiny:1b", size=1000, layers=1)) as running:
        yield running


def test_an_asset_sees_the_models(server: OllamaServer) -> None:
    seen: list[str] = []

    @dg.asset
    def models(ollama: OllamaResource) -> None:
        seen.extend(one.name for one in ollama.present())

    result = dg.materialize([models], resources={"ollama": OllamaResource(host=server.url)})
    assert result.success
    assert seen == ["tiny:1b"]


def test_it_is_where_ollama_host_says(server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
    assert OllamaResource().running() == VERSION


def test_its_health_says_what_is_wrong_and_raises_nothing() -> None:
    health = OllamaResource(host="127.0.0.1:1").health()
    assert (health.version, OllamaResource(host="127.0.0.1:1").running()) == (None, None)
    assert "ollama serve" in health.trouble


def test_a_missing_model_is_fetched_only_where_that_is_set(
    server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    server.registry["new:1b"] = [Layer("sha256:" + "a" * 64, 4000)]
    with pytest.raises(ProviderError, match="Ollama has no model 'new:1b'"):
        OllamaResource(host=server.url).ensure("new:1b")
    progress: list[Progress] = []
    came = OllamaResource(host=server.url, pulls=True).ensure("new:1b", on_progress=progress.append)
    assert (came.name, progress[-1].share) == ("new:1b", 1.0)


def test_the_model_that_fits_this_machine_is_chosen(server: OllamaServer) -> None:
    server.add(FakeModel("huge:9b", size=10**16))
    choice = OllamaResource(host=server.url).choose(["huge:9b", "tiny:1b"])
    assert choice.model == "tiny:1b"
    assert "huge:9b needs about" in choice.skipped["huge:9b"]


def test_room_is_made_on_command(server: OllamaServer) -> None:
    OllamaResource(host=server.url).make_room("tiny:1b")
    with pytest.raises(ProviderError, match="has no model 'gone:1b'"):
        OllamaResource(host=server.url).make_room("gone:1b")
