"""What a decision learns of Ollama and of the queues of model servers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from maestro.llm.catalogue import Catalogue, load_catalogue
from maestro.llm.state import OllamaState
from maestro.llm.surroundings import lanes_of, ollama_source, queue_source
from tests.integration.ollama_server import FakeModel, ollama_server
from tests.integration.test_serving import model_server

HUGE = 10**16


def a_catalogue(tmp_path: Path, text: str) -> Catalogue:
    path = tmp_path / "models.yaml"
    first = text.partition("models:\n  ")[2].partition(":")[0]
    path.write_text(f"{text}routes:\n  only: {{ candidates: [{first}] }}\ndefault_route: only\n")
    return load_catalogue([path], builtin=False)


def of_ollama(tmp_path: Path, *urls: str) -> Catalogue:
    providers = "".join(f"  at{n}: {{ kind: ollama, api_base: '{url}' }}\n" for n, url in enumerate(urls))
    models = "".join(
        f"  {size}{n}: {{ provider: at{n}, wire_model: '{size}:1b' }}\n"
        for n in range(len(urls))
        for size in ("tiny", "huge", "gone")
    )
    return a_catalogue(tmp_path, f"providers:\n{providers}models:\n{models}")


def test_a_decision_learns_what_ollama_has_and_what_does_not_fit(tmp_path: Path) -> None:
    models = (FakeModel("tiny:1b", size=1000, layers=1), FakeModel("huge:1b", size=HUGE))
    with ollama_server(*models) as server:
        state = asyncio.run(ollama_source(of_ollama(tmp_path, server.url), {})())
    assert state.running and state.present == {"tiny:1b", "huge:1b"}
    assert set(state.too_big) == {"huge:1b"}


def test_with_two_ollamas_what_one_of_them_has_counts(tmp_path: Path) -> None:
    with ollama_server(FakeModel("tiny:1b", size=1000, layers=1)) as server:
        catalogue = of_ollama(tmp_path, "http://127.0.0.1:1", server.url)
        state = asyncio.run(ollama_source(catalogue, {})())
    assert state.running and state.present == {"tiny:1b"}


def test_a_model_that_ollama_has_run_elsewhere_is_no_local_one(tmp_path: Path) -> None:
    here, away = (
        FakeModel("tiny:1b", size=1000, layers=1),
        FakeModel("huge:1b", size=400, remote="https://ollama.com:443"),
    )
    with ollama_server(here, away) as server:
        catalogue = of_ollama(tmp_path, server.url)
        state = asyncio.run(ollama_source(catalogue, {})())
    assert state.elsewhere == {"huge:1b": "https://ollama.com:443"}


def test_an_ollama_that_does_not_run_is_told_so(tmp_path: Path) -> None:
    state = asyncio.run(ollama_source(of_ollama(tmp_path, "http://127.0.0.1:1"), {})())
    assert state.running is False


def test_an_ollama_host_that_is_no_address_counts_as_not_running(tmp_path: Path) -> None:
    catalogue = a_catalogue(tmp_path, "providers:\n  o: { kind: ollama }\nmodels:\n  m: { provider: o }\n")
    assert asyncio.run(ollama_source(catalogue, {"OLLAMA_HOST": "ftp://x"})()).running is False


def test_without_models_of_ollama_nobody_is_asked(tmp_path: Path) -> None:
    catalogue = a_catalogue(tmp_path, "providers:\n  o: { kind: offline }\nmodels:\n  m: { provider: o }\n")
    assert asyncio.run(ollama_source(catalogue, {})()) == OllamaState()


def test_a_decision_learns_the_queue_of_each_model(tmp_path: Path) -> None:
    with model_server() as server:
        catalogue = a_catalogue(
            tmp_path,
            "providers:\n"
            f"  gpu: {{ kind: openai, api_base: 'http://127.0.0.1:1/v1', metrics: '{server.url}' }}\n"
            "  away: { kind: openai, api_base: 'http://127.0.0.1:1/v1', metrics: 'http://127.0.0.1:1/metrics' }\n"
            "models:\n"
            "  qwen: { provider: gpu, wire_model: 'Qwen/Qwen3-4B-Instruct-2507', price: free }\n"
            "  other: { provider: gpu, wire_model: other, price: free }\n"
            "  gone: { provider: away, price: free }\n",
        )
        assert [lane.name for lane in lanes_of(catalogue)] == ["qwen", "other", "gone"]
        assert asyncio.run(queue_source(catalogue)()) == {"qwen": 2}
