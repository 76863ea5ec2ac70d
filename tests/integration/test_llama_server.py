"""The OpenAI-compatible provider against a real llama.cpp."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from maestro.llm.model import Chunk, Completion, Message, ProviderCall, ProviderError
from maestro.llm.providers.openai_compatible import OpenAICompatible
from tests.integration import model_asking
from tests.integration.llama_server import llama_server, tiny_model

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("llama")
    with llama_server(tiny_model(folder), folder / "log") as url:
        yield url


def a_call(base: str, text: str = "What does it do?", **changed: Any) -> ProviderCall:
    settings: dict[str, Any] = {
        "wire_model": "tiny",
        "messages": [Message("system", "Be short."), Message("user", text)],
        "max_output_tokens": 12,
        "temperature": 0.0,
        "options": {"seed": 7},
        "api_base": base,
        "api_key": None,
        "timeout": 60.0,
    }
    return ProviderCall(**{**settings, **changed})


def complete(call: ProviderCall) -> Completion:
    return model_asking.complete(OpenAICompatible("llama"), call)


def streamed(call: ProviderCall) -> list[Chunk]:
    return model_asking.streamed(OpenAICompatible("llama"), call)


def test_it_is_healthy(base: str) -> None:
    assert asyncio.run(OpenAICompatible("llama").healthy(a_call(base))) is None


def test_a_whole_answer_has_text_and_the_tokens_llama_counted(base: str) -> None:
    answer = complete(a_call(base))
    assert answer.text.strip()
    assert answer.finish == "length"
    assert answer.usage.output_tokens == 12 and answer.usage.input_tokens > 20
    assert not answer.usage.estimated


def test_the_same_question_at_temperature_0_has_the_same_answer(base: str) -> None:
    assert complete(a_call(base)).text == complete(a_call(base)).text


def test_a_streamed_answer_is_the_whole_one_in_pieces(base: str) -> None:
    pieces = streamed(a_call(base))
    assert "".join(piece.text for piece in pieces) == complete(a_call(base)).text
    assert sum(1 for piece in pieces if piece.text) > 3
    assert [piece.finish for piece in pieces if piece.finish] == ["length"]


def test_a_stream_that_is_left_early_leaves_the_server_able_to_answer(base: str) -> None:
    async def asking() -> None:
        provider = OpenAICompatible("llama")
        pieces = provider.stream(a_call(base, max_output_tokens=300))
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]  # It is a generator.
        await provider.close()

    asyncio.run(asking())
    assert complete(a_call(base)).text.strip()


def test_an_input_longer_than_its_context_is_told_so(base: str) -> None:
    with pytest.raises(ProviderError) as error:
        complete(a_call(base, "word " * 2000))
    assert error.value.kind == "context"
    assert "llama at 127.0.0.1" in str(error.value)
