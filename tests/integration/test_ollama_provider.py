"""The provider "ollama": answers, streamed or whole, and everything that can go wrong with one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from maestro.llm.model import Chunk, Completion, Message, ProviderCall, ProviderError
from maestro.llm.ollama.memory import Memory
from maestro.llm.providers.ollama import OllamaProvider
from tests.integration import model_asking
from tests.integration.ollama_server import GIB, FakeModel, OllamaServer, Trouble, ollama_server

ROOMY = Memory(64 * GIB, 48 * GIB)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"where": {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}}},
            "additionalProperties": False,
        },
    },
}


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(FakeModel("qwen3:8b")) as running:
        yield running


def a_call(server: OllamaServer, text: str = "What does it do?", **changed: Any) -> ProviderCall:
    settings: dict[str, Any] = {
        "wire_model": "qwen3:8b",
        "messages": [Message("system", "Be short."), Message("user", text)],
        "max_output_tokens": 64,
        "temperature": 0.0,
        "options": {},
        "api_base": server.url,
        "api_key": None,
        "timeout": 20.0,
        "first_byte": 10.0,
    }
    return ProviderCall(**{**settings, **changed})


def complete(call: ProviderCall, **settings: Any) -> Completion:
    return model_asking.complete(OllamaProvider(**{"memory": lambda: ROOMY, **settings}), call)


def streamed(call: ProviderCall) -> list[Chunk]:
    return model_asking.streamed(OllamaProvider(memory=lambda: ROOMY), call)


def windows_of_a_long_and_a_short_question(server: OllamaServer) -> list[int]:
    """What one provider has the model loaded for, each time."""

    async def asking() -> None:
        provider = OllamaProvider(memory=lambda: ROOMY)
        await provider.complete(a_call(server, "word " * 5000))
        await provider.complete(a_call(server, "word"))
        await provider.close()

    asyncio.run(asking())
    return [body["options"]["num_ctx"] for body in server.asked("/api/chat")]


def healthy(call: ProviderCall, **settings: Any) -> str | None:
    async def asking() -> str | None:
        provider = OllamaProvider(**{"memory": lambda: ROOMY, **settings})
        try:
            return await provider.healthy(call)
        finally:
            await provider.close()

    return asyncio.run(asking())


def refused(call: ProviderCall, **settings: Any) -> ProviderError:
    with pytest.raises(ProviderError) as error:
        complete(call, **settings)
    return error.value


def test_a_whole_answer_has_text_finish_and_the_counts_of_ollama(server: OllamaServer) -> None:
    answer = complete(a_call(server))
    assert (answer.text, answer.finish) == ("It adds two numbers.", "stop")
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.estimated) == (6, 4, False)
    assert answer.raw == {"role": "assistant", "content": "It adds two numbers."}


def test_a_streamed_answer_comes_in_the_pieces_ollama_sends(server: OllamaServer) -> None:
    pieces = streamed(a_call(server))
    assert [piece.text for piece in pieces] == ["It ", "adds ", "two ", "numbers.", ""]
    assert pieces[-1].finish == "stop" and pieces[-1].usage is not None
    assert all(piece.finish is None for piece in pieces[:-1])


def test_the_first_piece_is_handed_out_before_the_next_one_came(server: OllamaServer) -> None:
    release = threading.Event()
    server.troubles.append(Trouble(after=1, until=release, matches="/api/chat"))

    async def asking() -> str:
        pieces = OllamaProvider(memory=lambda: ROOMY).stream(a_call(server))
        first = (await anext(pieces)).text
        release.set()
        return first + "".join([piece.text async for piece in pieces])

    try:
        assert asyncio.run(asking()) == "It adds two numbers."
    finally:
        release.set()


def test_an_answer_that_reached_its_bound_says_so(server: OllamaServer) -> None:
    answer = complete(a_call(server, max_output_tokens=2))
    assert (answer.text, answer.finish, answer.usage.output_tokens) == ("It adds ", "length", 2)


def test_what_the_model_thinks_is_kept_apart_from_what_it_answers(server: OllamaServer) -> None:
    server.add(FakeModel("qwen3:8b", thinks=("Two ", "plus…"), capabilities=("completion", "thinking")))
    call = a_call(server, options={"think": True})
    answer = complete(call)
    assert answer.text == "It adds two numbers."
    assert answer.raw["reasoning_content"] == "Two plus…"
    assert [piece.delta for piece in streamed(call)][:2] == [
        {"reasoning_content": "Two "},
        {"reasoning_content": "plus…"},
    ]


def test_a_tool_is_offered_whole_and_its_call_comes_in_openai_form(server: OllamaServer) -> None:
    server.add(
        FakeModel("qwen3:8b", calls=({"function": {"name": "weather", "arguments": {"where": {"city": "Bonn"}}}},))
    )
    answer = complete(a_call(server, options={"tools": [WEATHER]}))
    assert server.asked("/api/chat")[0]["tools"] == [WEATHER]
    assert answer.finish == "tool_calls"
    (called,) = answer.raw["tool_calls"]
    assert called["id"] and called["type"] == "function"
    assert called["function"] == {"name": "weather", "arguments": '{"where": {"city": "Bonn"}}'}


def test_what_a_tool_said_goes_back_with_its_name(server: OllamaServer) -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}
    messages = [
        Message("user", "Weather?"),
        Message("assistant", "", {"tool_calls": [called]}),
        Message("tool", "Rain.", {"tool_call_id": "call_1"}),
    ]
    complete(a_call(server, messages=messages))
    sent = server.asked("/api/chat")[0]["messages"]
    assert sent[1]["tool_calls"] == [{"function": {"name": "weather", "arguments": {"city": "Bonn"}}}]
    assert sent[2] == {"role": "tool", "content": "Rain.", "tool_name": "weather"}


def test_options_go_where_ollama_wants_them(server: OllamaServer) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    complete(a_call(server, options={"seed": 7, "stop": "END", "user": "me", "response_format": form}))
    body = server.asked("/api/chat")[0]
    wanted = {"num_ctx": 4096, "num_predict": 64, "temperature": 0.0, "seed": 7, "stop": ["END"]}
    assert (body["options"], body["format"]) == (wanted, schema)
    assert "user" not in body


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"logit_bias": {"7": 1}}, "Ollama does not know 'logit_bias'"),
        ({"n": 2}, "Ollama gives one answer"),
        ({"tool_choice": "required"}, "leaves it to the model whether it calls a tool"),
        ({"response_format": {"type": "xml"}}, "'response_format' is none of OpenAI's forms"),
    ],
)
def test_what_ollama_does_not_have_is_refused_before_it_is_asked(
    server: OllamaServer, options: dict[str, Any], what: str
) -> None:
    error = refused(a_call(server, options=options))
    assert what in str(error)
    assert (error.kind, error.sent, server.asked("/api/chat")) == ("bad_request", False, [])


def test_the_model_is_loaded_for_as_many_tokens_as_the_input_needs(server: OllamaServer) -> None:
    complete(a_call(server, "word " * 5000))
    assert server.asked("/api/chat")[0]["options"]["num_ctx"] == 16_384


def test_a_shorter_input_does_not_load_it_anew(server: OllamaServer) -> None:
    assert windows_of_a_long_and_a_short_question(server) == [16_384, 16_384]


def test_it_stays_loaded_for_what_it_was_loaded_for_later_too(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.llm.providers.ollama.READY_SECONDS", -1.0)

    assert windows_of_a_long_and_a_short_question(server) == [16_384, 16_384]


def test_what_goes_wrong_before_the_model_is_asked_costs_nothing(server: OllamaServer) -> None:
    server.troubles.append(Trouble(500, b'{"error": "something unexpected"}', matches="/api/show"))
    error = refused(a_call(server))
    assert "something unexpected" in str(error)
    assert (error.sent, server.asked("/api/chat")) == (False, [])


def test_an_input_longer_than_the_model_was_made_for_is_refused_not_cut(server: OllamaServer) -> None:
    error = refused(a_call(server, "word " * 60_000))
    assert error.kind == "context" and not error.sent
    assert "qwen3:8b was made for 40,960 tokens" in str(error)


def test_the_other_model_leaves_memory_that_does_not_hold_both(server: OllamaServer) -> None:
    server.vram = 0.0
    server.load(server.add(FakeModel("llama3:latest", size=6 * GIB)))
    complete(a_call(server), memory=lambda: Memory(9 * GIB, 2 * GIB))
    assert server.unloaded == ["llama3:latest"]


def test_a_model_too_big_for_this_machine_is_not_asked(server: OllamaServer) -> None:
    error = refused(a_call(server), memory=lambda: Memory(4 * GIB, GIB))
    assert "qwen3:8b needs about" in str(error)
    assert (error.kind, error.sent, server.asked("/api/chat")) == ("unavailable", False, [])


def test_too_little_memory_after_all_is_told_in_ollamas_words(server: OllamaServer) -> None:
    server.capacity = 3 * GIB
    error = refused(a_call(server))
    assert "model requires more system memory (5.0 GiB) than is available (3.0 GiB)" in str(error)
    assert "use a smaller model" in str(error) and not error.sent and not error.retry


def test_a_missing_model_says_how_to_get_it(server: OllamaServer) -> None:
    error = refused(a_call(server, wire_model="qwen3:1.7b"))
    assert "Ollama has no model 'qwen3:1.7b'; present are qwen3:8b" in str(error)
    assert "ollama pull qwen3:1.7b" in str(error) and not error.sent


def test_one_that_does_not_run_says_how_to_start_it(server: OllamaServer) -> None:
    error = refused(a_call(server, api_base="http://127.0.0.1:1"))
    assert "start it with `ollama serve`" in str(error)
    assert (error.kind, error.sent) == ("unavailable", False)


@pytest.mark.parametrize("address", ["ftp://gpu-box", "http://gpu..box", "gpu-box:many"])
def test_an_address_that_is_none_is_told_so(server: OllamaServer, address: str) -> None:
    call = a_call(server, api_base=address)
    error = refused(call)
    assert not error.sent and "gpu" in str(error)
    assert str(healthy(call)).startswith(error.what)


def test_a_request_that_cannot_be_written_is_refused(server: OllamaServer) -> None:
    error = refused(a_call(server, temperature=float("nan")))
    assert "cannot be written as JSON" in str(error) and not error.sent


def test_an_address_in_the_environment_is_used(server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
    assert complete(a_call(server, api_base=None)).text == "It adds two numbers."


@pytest.mark.parametrize(
    ("trouble", "kind", "what"),
    [
        (Trouble(after=2), "garbage", "broke"),
        (Trouble(after=2, line=b'{"message": {"content": "hal'), "garbage", "no whole JSON"),
        (Trouble(after=2, line=b'{"done": false}\n'), "garbage", "the answer ended in the middle"),
        (Trouble(after=0, line=b"[1]\n"), "garbage", "JSON but no object"),
        (Trouble(after=0, line=b'{"message": {"content": 7}}\n'), "garbage", "is no text"),
        (Trouble(after=2, line=b'{"error": "an error was encountered: out of memory"}\n'), "unavailable", "too little"),
        (Trouble(after=2, line=b'{"error": "llama runner process no longer running: 2"}\n'), "unavailable", "died"),
        (Trouble(500, b'{"error": "something unexpected"}'), "unavailable", "answered 500: something unexpected"),
        (Trouble(500, b"not json"), "unavailable", "answered 500: not json"),
        (Trouble(503, b'{"error": "server busy, please try again"}'), "unavailable", "server busy"),
        (Trouble(429, b"{}"), "rate_limit", "answered 429"),
        (Trouble(401, b'{"error": "unauthorized"}'), "auth", "ollama signin"),
        (Trouble(400, b'{"error": "\\"qwen3:8b\\" does not support thinking"}'), "bad_request", "does not support"),
        (Trouble(400, b'{"error": "the input exceeds the context length"}'), "context", "shorten the input"),
    ],
)
def test_what_goes_wrong_is_told_with_its_kind(server: OllamaServer, trouble: Trouble, kind: str, what: str) -> None:
    server.troubles.append(Trouble(**{**{name: getattr(trouble, name) for name in _FIELDS}, "matches": "/api/chat"}))
    error = refused(a_call(server))
    assert what in str(error)
    assert error.kind == kind


_FIELDS = tuple(Trouble.__dataclass_fields__)


def test_the_pieces_that_came_before_it_broke_were_handed_out(server: OllamaServer) -> None:
    server.troubles.append(Trouble(after=2, matches="/api/chat"))

    async def asking() -> list[str]:
        came: list[str] = []
        with pytest.raises(ProviderError):
            async for piece in OllamaProvider(memory=lambda: ROOMY).stream(a_call(server)):
                came.append(piece.text)
        return came

    assert asyncio.run(asking()) == ["It ", "adds "]


@pytest.mark.parametrize(
    "endless",
    [b"x" * 65_536, b'{"message": {"content": "and on "}}\n', b'{"message": {"content": ""}}\n' * 1000],
    ids=["one line", "words", "nothing"],
)
def test_an_endless_answer_is_cut_off(server: OllamaServer, endless: bytes) -> None:
    server.troubles.append(Trouble(after=0, endless=endless, matches="/api/chat"))
    error = refused(a_call(server, byte_limit=200_000))
    assert error.kind == "garbage" and "does not end" in str(error)
    assert server.left.wait(10)


def test_a_silent_one_is_given_up_after_the_time_for_a_first_piece(server: OllamaServer) -> None:
    release = threading.Event()
    server.troubles.append(Trouble(after=0, until=release, matches="/api/chat"))
    try:
        error = refused(a_call(server, first_byte=0.3))
    finally:
        release.set()
    assert error.kind == "timeout"
    assert "did not send anything within 0.3 s" in str(error) and "loading a large model" in str(error)


def test_a_slow_one_is_given_up_after_the_time_for_the_whole_answer(server: OllamaServer) -> None:
    release = threading.Event()
    server.troubles.append(Trouble(after=2, until=release, matches="/api/chat"))
    try:
        error = refused(a_call(server, timeout=0.8))
    finally:
        release.set()
    assert error.kind == "timeout" and "the whole answer within 0.8 s" in str(error)


def test_a_stream_that_is_left_ends_at_ollama_too(server: OllamaServer) -> None:
    server.troubles.append(Trouble(after=1, endless=b'{"message": {"content": "and on "}}\n', matches="/api/chat"))

    async def asking() -> None:
        pieces = OllamaProvider(memory=lambda: ROOMY).stream(a_call(server))
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]  # It is a generator.

    asyncio.run(asking())
    assert server.left.wait(10)


def test_many_calls_at_once_all_get_their_answer(server: OllamaServer) -> None:
    async def asking() -> list[str]:
        provider = OllamaProvider(memory=lambda: ROOMY)
        answers = await asyncio.gather(*(provider.complete(a_call(server)) for _ in range(20)))
        await provider.close()
        return [one.text for one in answers]

    assert asyncio.run(asking()) == ["It adds two numbers."] * 20


def test_it_is_healthy_when_it_runs_and_the_model_fits(server: OllamaServer) -> None:
    assert healthy(a_call(server)) is None


def test_it_is_unhealthy_when_it_does_not_run_has_no_such_model_or_no_memory(server: OllamaServer) -> None:
    assert "does not answer" in str(healthy(a_call(server, api_base="http://127.0.0.1:1")))
    assert "has no model 'gone:1b'" in str(healthy(a_call(server, wire_model="gone:1b")))
    assert "needs about" in str(healthy(a_call(server), memory=lambda: Memory(4 * GIB, GIB)))


def test_a_prompt_that_was_cached_whole_has_an_estimated_count(server: OllamaServer) -> None:
    line = b'{"message": {"content": "Yes."}, "done": true, "done_reason": "stop", "eval_count": 2}\n'
    server.troubles.append(Trouble(after=0, line=line, matches="/api/chat"))
    usage = complete(a_call(server)).usage
    assert usage.estimated and usage.input_tokens > 0 and usage.output_tokens == 2
