"""Providers through litellm, for real: against a server of Anthropic's format, and through its OpenAI-like paths."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.llm.model import Chunk, Completion, Message, ModelRequest, ProviderCall, ProviderError
from maestro.llm.providers.litellm_provider import LiteLLM
from tests.integration.anthropic_server import AnthropicServer, anthropic_server
from tests.integration.llm_gateways import KEY as TEST_KEY
from tests.integration.llm_gateways import WHO, gateway
from tests.integration.model_server import ModelServer, model_server

pytestmark = pytest.mark.anyio
KEY = "sk-" + "ant-of-the-tests-0123456789"
TEXT = "hello world from maestro"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[AnthropicServer]:
    with anthropic_server() as running:
        yield running


@pytest.fixture(scope="module")
def openai_like() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


def call(model: str, url: str) -> ProviderCall:
    messages = [Message("system", "be brief"), Message("user", TEXT)]
    return ProviderCall(model, messages, 100, 0.0, {}, url, KEY, timeout=20, first_byte=20)


async def complete(model: str, url: str, provider: str = "anthropic") -> Completion:
    return await LiteLLM(provider).complete(call(model, url))


async def stream(model: str, url: str, provider: str = "anthropic") -> list[Chunk]:
    return [piece async for piece in LiteLLM(provider).stream(call(model, url))]


async def test_a_whole_answer_is_translated(server: AnthropicServer) -> None:
    answer = await complete("echo", server.url)
    assert (answer.text, answer.finish) == (TEXT, "stop")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 5)
    assert server.calls[-1]["max_tokens"] == 100
    assert server.keys[-1] == KEY


async def test_a_streamed_answer_is_translated(server: AnthropicServer) -> None:
    pieces = await stream("echo", server.url)
    assert "".join(piece.text for piece in pieces) == TEXT
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.output_tokens == 5


@pytest.mark.parametrize(
    ("status", "kind", "retry", "sent"),
    [(401, "auth", False, False), (400, "bad_request", False, False), (429, "rate_limit", True, False),
     (500, "unavailable", True, False), (529, "unavailable", True, False)],
)  # fmt: skip
async def test_its_exceptions_become_ours_and_it_tries_once(
    server: AnthropicServer, status: int, kind: str, retry: bool, sent: bool
) -> None:
    before = len(server.calls)
    with pytest.raises(ProviderError) as caught:
        await complete(f"status-{status}", server.url)
    error = caught.value
    assert (error.kind, error.retry, error.sent, error.retry_after) == (kind, retry, sent, 0.25)
    assert KEY not in str(error)
    assert len(server.calls) == before + 1


@pytest.mark.parametrize(
    ("model", "kind", "words"), [("truncated", "garbage", "json"), ("endless", "garbage", "does not end")]
)
async def test_garbage_may_have_cost(server: AnthropicServer, model: str, kind: str, words: str) -> None:
    with pytest.raises(ProviderError, match=words) as caught:
        await complete(model, server.url)
    assert (caught.value.kind, caught.value.sent) == (kind, True)


async def test_a_stream_that_breaks_off_may_have_cost(server: AnthropicServer) -> None:
    with pytest.raises(ProviderError) as caught:
        await stream("half", server.url)
    assert caught.value.sent


async def test_a_server_that_is_not_there_cost_nothing() -> None:
    with pytest.raises(ProviderError) as caught:
        await complete("echo", "http://127.0.0.1:1")
    assert (caught.value.kind, caught.value.sent) == ("unavailable", False)


async def test_no_redirect_is_followed_with_the_key(server: AnthropicServer) -> None:
    for asked in (complete, stream):
        with pytest.raises(ProviderError, match="it answered 307"):
            await asked("redirect", server.url)


@pytest.mark.parametrize("provider", ["openai", "mistral"])
async def test_openai_like_paths_are_bounded_alike(openai_like: ModelServer, provider: str) -> None:
    assert (await complete("echo", openai_like.url, provider)).text == TEXT
    with pytest.raises(ProviderError, match="it answered 307"):
        await complete("redirect", openai_like.url, provider)
    with pytest.raises(ProviderError, match="does not end"):
        await complete("endless", openai_like.url, provider)
    with pytest.raises(ProviderError) as caught:
        await complete("close", openai_like.url, provider)
    assert caught.value.sent
    assert openai_like.seen["close"] == 1
    openai_like.seen.clear()


async def test_no_address_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://elsewhere.invalid")
    asked = ProviderCall("echo", [Message("user", "hi")], 10, 0.0, {}, None, KEY)
    with pytest.raises(ProviderError, match=r"ANTHROPIC_BASE_URL is set, and calls go only where models\.yaml says"):
        await LiteLLM("anthropic").complete(asked)


async def test_the_gateway_charges_it_like_any_other(server: AnthropicServer, tmp_path: Path) -> None:
    providers = {"claude": {"kind": "litellm", "litellm": "anthropic", "api_base": server.url, "key": "env:TEST_KEY"}}
    models = {"echo": {"provider": "claude"}}
    async with gateway(tmp_path, server.url, models, more_providers=providers) as made:
        asked = ModelRequest([Message("user", TEXT)], target="echo", max_output_tokens=100)
        answer = await made.ask(asked, WHO)
        async with await made.stream(asked, WHO) as pieces:
            text = "".join([piece.text async for piece in pieces])
        assert answer.text == text == TEXT
        assert pieces.answer is not None
        assert answer.cost_nano == pieces.answer.cost_nano == 11 * 1000 + 5 * 2000
    assert server.keys[-1] == TEST_KEY


def test_it_is_imported_on_first_use_beside_the_loop_reads_no_env_file_and_logs_nothing(
    server: AnthropicServer, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("TAKEN_FROM_A_CHECKOUT=1\n")
    program = f"""
import asyncio, os, sys
import maestro.llm.opening, maestro.llm.gateway, maestro.llm.blocking
from maestro.llm.providers.litellm_provider import LiteLLM
from maestro.llm.model import Message, ProviderCall, ProviderError
assert "litellm" not in sys.modules
async def main():
    turns = 0
    async def turn():
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1
    turning = asyncio.ensure_future(turn())
    for model in ("echo", "status-401"):
        try:
            await LiteLLM("anthropic").complete(
                ProviderCall(model, [Message("user", "hi")], 10, 0.0, {{}}, "{server.url}", "{KEY}", timeout=30))
        except ProviderError as error:
            print(error.kind)
    assert turns > 5, "the loop stood still while it was imported"
asyncio.run(main())
import litellm
assert "TAKEN_FROM_A_CHECKOUT" not in os.environ
assert litellm.telemetry is False and not litellm.callbacks and not litellm.success_callback
assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "auth\n"
    assert KEY not in done.stderr
