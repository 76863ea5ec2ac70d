"""Models of an Ollama: which there are, which are in memory, fetching one, making room for one."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from maestro.errors import InputError
from maestro.llm.model import ProviderError
from maestro.llm.ollama.client import OllamaClient
from maestro.llm.ollama.desk import OllamaDesk
from maestro.llm.ollama.memory import Memory
from maestro.llm.ollama.pull import Progress, models_folder_here, pull
from tests.integration.ollama_server import GIB, VERSION, FakeModel, Layer, OllamaServer, Trouble, ollama_server

T = TypeVar("T")
ROOMY = Memory(64 * GIB, 48 * GIB)
DIGEST = "sha256:8eeb52dfb3bb9aefdf9d1ef24b3bdbcfbe82238798c4b918278320b6fcef18fe"


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(FakeModel("qwen3:8b"), FakeModel("llama3:latest", size=6 * GIB)) as running:
        yield running


def at_desk(server: OllamaServer, act: Callable[[OllamaDesk], Awaitable[T]], **settings: Any) -> T:
    async def acting() -> T:
        desk = OllamaDesk(OllamaClient(server.url), **{"memory": lambda: ROOMY, **settings})
        try:
            return await act(desk)
        finally:
            await desk.close()

    return asyncio.run(acting())


def with_client(url: str, act: Callable[[OllamaClient], Awaitable[T]], **settings: Any) -> T:
    async def acting() -> T:
        client = OllamaClient(url, **settings)
        try:
            return await act(client)
        finally:
            await client.close()

    return asyncio.run(acting())


def refused(server: OllamaServer, act: Callable[[OllamaDesk], Awaitable[Any]], **settings: Any) -> ProviderError:
    with pytest.raises(ProviderError) as error:
        at_desk(server, act, **settings)
    return error.value


def test_a_running_one_tells_its_version_models_and_what_is_loaded(server: OllamaServer) -> None:
    server.vram = 0.25
    server.load(server.models["qwen3:8b"])
    health = at_desk(server, lambda desk: desk.health())
    assert (health.version, health.trouble) == (VERSION, "")
    assert [one.name for one in health.present] == ["llama3:latest", "qwen3:8b"]
    assert [(one.name, one.offload) for one in health.loaded] == [("qwen3:8b", 0.25)]
    assert health.memory == ROOMY


def test_the_facts_of_a_model_come_from_the_server(server: OllamaServer) -> None:
    facts = at_desk(server, lambda desk: desk.facts("qwen3:8b"))
    assert (facts.parameters, facts.context, facts.kv_heads, facts.head_size) == (8_190_735_360, 40_960, 288, 256)


def test_one_that_does_not_run_says_how_to_start_it() -> None:
    with pytest.raises(ProviderError) as error:
        with_client("http://127.0.0.1:1", lambda client: client.version())
    assert "Ollama does not answer at http://127.0.0.1:1" in str(error.value)
    assert "start it with `ollama serve`, or set OLLAMA_HOST" in str(error.value)
    assert not error.value.sent
    assert with_client("http://127.0.0.1:1", lambda client: client.running()) is None


@pytest.mark.parametrize("ask", ["present", "loaded"])
def test_every_question_says_so_when_it_does_not_run(ask: str) -> None:
    with pytest.raises(ProviderError, match="does not answer"):
        with_client("http://127.0.0.1:1", lambda client: getattr(client, ask)())


def test_a_silent_one_is_not_waited_for_forever() -> None:
    # A port that takes connections and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ProviderError) as error:
        with_client(f"127.0.0.1:{silent.getsockname()[1]}", lambda client: client.version(), seconds=0.2)
    assert error.value.kind == "timeout"


@pytest.mark.parametrize("body", [b"<html>proxy</html>", b"[]", b'{"models": 7}', b"\xff\xfe"])
def test_what_is_no_ollama_is_told_so(server: OllamaServer, body: bytes) -> None:
    server.troubles.append(Trouble(body=body, matches="/api/tags"))
    error = refused(server, lambda desk: desk.client.present())
    assert "is no Ollama, or a broken one" in str(error)


def test_an_error_body_is_repeated_as_one_line(server: OllamaServer) -> None:
    server.troubles.append(Trouble(500, b'{"error": "disk\\n went\\u001b[31m away"}', matches="/api/tags"))
    error = refused(server, lambda desk: desk.client.present())
    assert "Ollama answered 500: disk went[31m away" in str(error)


def test_a_missing_model_names_those_that_may_have_been_meant(server: OllamaServer) -> None:
    error = refused(server, lambda desk: desk.facts("qwen3:14b"))
    assert "Ollama has no model 'qwen3:14b'; present are qwen3:8b" in str(error)
    assert "ollama pull qwen3:14b" in str(error)


def test_the_state_for_a_decision_says_what_is_there_and_what_is_too_big(server: OllamaServer) -> None:
    little = Memory(8 * GIB, 3 * GIB)
    state = at_desk(server, lambda desk: desk.state(["qwen3:8b", "llama3", "gone:1b"]), memory=lambda: little)
    assert state.running
    assert {"qwen3:8b", "llama3", "llama3:latest"} <= state.present and "gone:1b" not in state.present
    assert set(state.too_big) == {"qwen3:8b", "llama3"}
    assert "needs about" in state.too_big["qwen3:8b"]


def test_the_state_of_one_that_does_not_run_is_that(server: OllamaServer) -> None:
    async def asked() -> Any:
        return await OllamaDesk(OllamaClient("127.0.0.1:1")).state(["qwen3:8b"])

    assert asyncio.run(asked()).running is False


def test_the_other_model_is_unloaded_when_memory_does_not_hold_both(server: OllamaServer) -> None:
    server.vram = 0.0
    server.load(server.models["llama3:latest"])
    verdict = at_desk(server, lambda desk: desk.make_room("qwen3:8b"), memory=lambda: Memory(9 * GIB, 2 * GIB))
    assert (verdict.place, server.unloaded, server.loaded) == ("cpu", ["llama3:latest"], {})
    assert server.asked("/api/generate") == [{"model": "llama3:latest", "stream": False, "keep_alive": 0}]


def test_the_other_model_stays_when_memory_holds_both(server: OllamaServer) -> None:
    server.load(server.models["llama3:latest"])
    at_desk(server, lambda desk: desk.make_room("qwen3:8b"))
    assert server.unloaded == []


def test_no_room_is_made_for_what_never_goes_in(server: OllamaServer) -> None:
    server.vram = 0.0
    server.load(server.models["llama3:latest"])
    tiny = Memory(4 * GIB, GIB)
    error = refused(server, lambda desk: desk.make_room("qwen3:8b"), memory=lambda: tiny)
    assert "qwen3:8b needs about" in str(error) and "use a smaller model" in str(error)
    assert (error.sent, server.unloaded) == (False, [])


def test_the_model_that_fits_is_chosen(server: OllamaServer) -> None:
    server.add(FakeModel("qwen3:1.7b", size=GIB, layers=4))
    names = ["qwen3:32b", "qwen3:8b", "qwen3:1.7b"]
    choice = at_desk(server, lambda desk: desk.choose(names), memory=lambda: Memory(8 * GIB, 3 * GIB))
    assert choice.model == "qwen3:1.7b"
    assert choice.skipped["qwen3:32b"] == "qwen3:32b is not present"
    assert "needs about" in choice.skipped["qwen3:8b"]


def pulled(
    server: OllamaServer, model: str = "mistral:7b", progress: list[Progress] | None = None, **settings: Any
) -> Any:
    heard = progress.append if progress is not None else None
    return with_client(server.url, lambda client: pull(client, model, on_progress=heard, **settings))


def test_a_pull_tells_how_far_it_is_and_what_came(server: OllamaServer, tmp_path: Path) -> None:
    server.registry["mistral:7b"] = [Layer(DIGEST, 4000), Layer("sha256:" + "b" * 64, 100)]
    progress: list[Progress] = []
    came = pulled(server, progress=progress, models_folder=tmp_path)
    assert came.name == "mistral:7b"
    assert progress[0] == Progress("pulling manifest")
    assert progress[-1] == Progress("success", 4100, 4100)
    shares = [one.done for one in progress]
    assert shares == sorted(shares)


def test_a_broken_connection_goes_on_where_it_was(server: OllamaServer, tmp_path: Path) -> None:
    layer = Layer(DIGEST, 4000)
    server.registry["mistral:7b"] = [layer]
    server.troubles.append(Trouble(after=4, matches="/api/pull"))
    progress: list[Progress] = []
    pulled(server, progress=progress, models_folder=tmp_path)
    assert len(server.asked("/api/pull")) == 2
    again = progress.index(Progress("pulling manifest"), 1)
    assert progress[again + 1].done >= 2000


def test_a_silent_pull_is_asked_for_anew(server: OllamaServer, tmp_path: Path) -> None:
    release = threading.Event()
    server.registry["mistral:7b"] = [Layer(DIGEST, 4000)]
    server.troubles.append(Trouble(after=2, until=release, matches="/api/pull"))
    try:
        assert pulled(server, models_folder=tmp_path, stall=0.3).name == "mistral:7b"
    finally:
        release.set()


def test_a_layer_with_the_wrong_digest_is_fetched_again(server: OllamaServer, tmp_path: Path) -> None:
    server.registry["mistral:7b"] = [Layer(DIGEST, 4000, corrupt=True)]
    assert pulled(server, models_folder=tmp_path).name == "mistral:7b"
    assert len(server.asked("/api/pull")) == 2


def test_a_pull_that_never_works_says_that_what_came_is_kept(server: OllamaServer, tmp_path: Path) -> None:
    server.registry["mistral:7b"] = [Layer(DIGEST, 4000)]
    server.troubles.extend(Trouble(after=1, matches="/api/pull") for _ in range(10))
    with pytest.raises(ProviderError) as error:
        pulled(server, models_folder=tmp_path)
    assert "what has come is kept" in str(error.value)
    assert len(server.asked("/api/pull")) == 4


def test_a_name_the_registry_does_not_have_is_refused_at_once(server: OllamaServer, tmp_path: Path) -> None:
    with pytest.raises(ProviderError) as error:
        pulled(server, "qwenn:8b", models_folder=tmp_path)
    assert "pull model manifest: file does not exist" in str(error.value)
    assert "https://ollama.com/library" in str(error.value)
    assert len(server.asked("/api/pull")) == 1


def test_a_cancelled_pull_ends_in_the_middle_and_keeps_what_came(server: OllamaServer, tmp_path: Path) -> None:
    cancelled, release = threading.Event(), threading.Event()
    layer = Layer(DIGEST, 4000)
    server.registry["mistral:7b"] = [layer]
    server.layer_read = lambda one: _at(one, 2000, cancelled, release)
    with pytest.raises(asyncio.CancelledError):
        pulled(server, models_folder=tmp_path, cancelled=cancelled)
    assert "mistral:7b" not in server.models
    assert 0 < layer.done < layer.total
    release.set()


def _at(layer: Layer, done: int, reached: threading.Event, release: threading.Event) -> None:
    if layer.done == done:
        reached.set()
        release.wait(30)


def test_too_little_disk_is_seen_before_anything_comes(server: OllamaServer, tmp_path: Path) -> None:
    release = threading.Event()
    server.registry["mistral:7b"] = [Layer(DIGEST, 10**18)]
    server.layer_read = lambda _layer: _wait(release)
    with pytest.raises(ProviderError) as error:
        pulled(server, models_folder=tmp_path)
    release.set()
    assert "too little disk for models" in str(error.value) and "ollama rm" in str(error.value)


def _wait(release: threading.Event) -> None:
    release.wait(30)


def test_a_missing_model_is_only_fetched_when_that_is_allowed(server: OllamaServer, tmp_path: Path) -> None:
    server.registry["mistral:7b"] = [Layer(DIGEST, 4000)]
    error = refused(server, lambda desk: desk.ensure("mistral:7b"), models_folder=tmp_path)
    assert "ollama pull mistral:7b" in str(error)
    assert server.asked("/api/pull") == []
    came = at_desk(server, lambda desk: desk.ensure("mistral:7b"), pulls=True, models_folder=tmp_path)
    assert came.name == "mistral:7b"
    at_desk(server, lambda desk: desk.ensure("mistral:7b"), pulls=True, models_folder=tmp_path)
    assert len(server.asked("/api/pull")) == 1


def test_the_folder_of_models_is_found_by_its_variable(tmp_path: Path) -> None:
    assert models_folder_here({"OLLAMA_MODELS": str(tmp_path)}) == tmp_path
    assert models_folder_here({"OLLAMA_MODELS": str(tmp_path / "none")}) is None


def test_a_key_in_the_environment_is_not_sent_to_every_address(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "not-for-everybody")
    with_client(server.url, lambda client: client.present())
    assert all("authorization" not in headers for *_, headers in server.requests)


def test_a_given_key_is_sent(server: OllamaServer) -> None:
    with_client(server.url, lambda client: client.present(), key="the-key")
    assert server.requests[-1][3]["authorization"] == "Bearer the-key"


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be used"):
        OllamaClient("ftp://x")
