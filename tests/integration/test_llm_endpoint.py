"""The OpenAI-compatible endpoint, asked by OpenAI's own client over real HTTP."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from maestro.gateway.llm_request import BODY_LIMIT
from maestro.ledger.model import NANO, Unit
from tests.integration.llm_endpoint import LlmEndpoint, llm_endpoint
from tests.integration.model_server import ModelServer, model_server

HELLO: list[Any] = [{"role": "user", "content": "one two three four five"}]


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def endpoint(tmp_path: Path, models: ModelServer) -> Iterator[LlmEndpoint]:
    with llm_endpoint(tmp_path, models) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, models: ModelServer) -> Iterator[tuple[LlmEndpoint, str]]:
    """One for tests that leave nothing behind."""
    with llm_endpoint(tmp_path_factory.mktemp("shared"), models) as running:
        yield running, running.token()[0]


@pytest.fixture
def key(endpoint: LlmEndpoint) -> str:
    return endpoint.token()[0]


@pytest.fixture
def client(endpoint: LlmEndpoint, key: str) -> Iterator[OpenAI]:
    with endpoint.client(key) as made:
        yield made


def test_an_answer_is_one_of_openai_s_with_the_decision_and_its_cost(endpoint: LlmEndpoint, client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=HELLO, max_tokens=100)
    answer = raw.parse()
    assert answer.choices[0].message.content == "one two three four five"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "echo"
    assert answer.usage is not None and answer.usage.total_tokens == 12
    cost = Decimal(raw.headers["x-maestro-cost"])
    assert cost == Decimal("0.018000000")
    endpoint.until_settled()
    assert endpoint.spent() == cost * NANO
    kept = endpoint.kept(raw.headers["x-maestro-decision"])
    assert kept.decision.attribution.project == "shop"
    assert kept.outcome is not None and kept.outcome.state == "answered"
    assert "access-control-allow-origin" not in raw.headers


def test_what_is_asked_with_a_token_is_charged_to_whom_it_is_bound(endpoint: LlmEndpoint) -> None:
    key, token = endpoint.token("ci", pull_request=7)
    with endpoint.client(key) as client:
        client.chat.completions.create(model="echo", messages=HELLO)
    endpoint.until_settled()
    with endpoint.ledger() as ledger:
        (charge,) = ledger.charges(unit="usd")
    who = charge.attribution
    assert (who.tenant, who.project, who.pull_request, who.run) == ("acme", "shop", 7, f"token-{token.id}")
    assert who.actor == "token:ci"


def test_a_stream_comes_in_pieces_and_ends_with_the_usage_that_was_asked_for(
    endpoint: LlmEndpoint, client: OpenAI
) -> None:
    stream = client.chat.completions.create(
        model="seven-words", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    pieces = list(stream)
    assert len(pieces) > 5
    assert pieces[0].choices[0].delta.role == "assistant"
    text = "".join(one.choices[0].delta.content or "" for one in pieces if one.choices)
    assert text == "word word word word word word word"
    assert [one.choices[0].finish_reason for one in pieces if one.choices][-1] == "stop"
    last = pieces[-1]
    assert last.choices == []
    assert last.usage is not None and last.usage.completion_tokens == 9
    assert last.model_extra is not None
    assert Decimal(last.model_extra["maestro"]["cost_usd"]) * NANO == _settled(endpoint)


def test_a_stream_without_that_wish_says_nothing_of_usage_but_its_cost_in_a_comment(
    endpoint: LlmEndpoint, key: str
) -> None:
    answer = endpoint.post(key, {"model": "echo", "messages": HELLO, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-maestro-decision"].startswith("dec_")
    assert '"usage"' not in answer.text
    assert ": x-maestro-cost 0.0" in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


def test_a_call_of_a_tool_comes_through_streamed_or_not(client: OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    answer = client.chat.completions.create(model="tool-caller", messages=HELLO, tools=[tool])
    calls = answer.choices[0].message.tool_calls
    assert calls is not None and calls[0].type == "function"
    assert calls[0].function.name == "look_up"
    assert answer.choices[0].finish_reason == "tool_calls"
    again: list[Any] = [*HELLO, answer.choices[0].message.model_dump()]
    again.append({"role": "tool", "tool_call_id": calls[0].id, "content": "found"})
    assert client.chat.completions.create(model="echo", messages=again).choices[0].message.content == "found"


def test_a_route_takes_the_next_candidate_and_a_capability_any_that_has_it(client: OpenAI) -> None:
    assert client.chat.completions.create(model="good", messages=HELLO).model == "echo"
    raw = client.chat.completions.with_raw_response.create(model="parrot", messages=HELLO)
    assert raw.headers["x-maestro-decision"].startswith("dec_")


def test_the_models_routes_and_capabilities_are_listed(shared: tuple[LlmEndpoint, str]) -> None:
    client = shared[0].client(shared[1])
    names = {one.id: one.owned_by for one in client.models.list()}
    assert (names["echo"], names["good"], names["parrot"]) == ("test", "route", "capability")
    assert client.models.retrieve("echo").id == "echo"
    with pytest.raises(openai.NotFoundError, match=r"there is no model 'ecco'; did you mean model echo"):
        client.models.retrieve("ecco")


def test_an_unknown_model_is_answered_with_the_nearest_names(endpoint: LlmEndpoint, client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="echo") as caught:
        client.chat.completions.create(model="ecco", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert endpoint.spent() == 0


@pytest.mark.parametrize("key", ["", "nonsense", "maestro-000000000000-" + "A" * 43])
def test_nobody_gets_in_without_a_token_that_counts(shared: tuple[LlmEndpoint, str], key: str) -> None:
    endpoint, _ = shared
    with endpoint.client(key or "x") as client, pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="echo", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert httpx.get(f"{endpoint.url}/v1/models").status_code == 401


def test_a_token_with_another_secret_or_revoked_or_expired_does_not_count(endpoint: LlmEndpoint) -> None:
    now = datetime.now(UTC)
    good, token = endpoint.token()
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    late, _ = endpoint.token("late", expires=now - timedelta(seconds=1))
    assert [endpoint.post(one, {}).status_code for one in (good, wrong, late)] == [400, 401, 401]
    endpoint.tokens.revoke(token.id, now)
    assert endpoint.post(good, {}).status_code == 401


def test_half_a_character_is_refused_by_the_number_of_its_message_and_nothing_is_sent(
    endpoint: LlmEndpoint, models: ModelServer
) -> None:
    key, _token = endpoint.token()
    before = len(models.calls)
    messages = [*HELLO, {"role": "user", "content": "a\ud800"}]
    answer = endpoint.post(key, {"model": "echo", "messages": messages})
    assert answer.status_code == 400
    assert f"message {len(messages)} is not UTF-8 at byte 1" in answer.json()["error"]["message"]
    assert len(models.calls) == before
    assert endpoint.spent() == 0


def test_a_budget_that_is_used_up_refuses_in_openai_s_words_and_nothing_is_sent(
    endpoint: LlmEndpoint, models: ModelServer
) -> None:
    key, token = endpoint.token("poor")
    with endpoint.ledger() as ledger:
        ledger.set_limit(token.scope, Unit.USD, NANO // 100, actor="ann", reason="a cent")
    before = len(models.calls)
    # It would try again by itself, were it not told that it is no use.
    with endpoint.client(key, max_retries=3) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="echo", messages=HELLO, max_tokens=100)
    assert caught.value.code == "insufficient_quota"
    decision = caught.value.response.headers["x-maestro-decision"]
    assert decision.startswith("dec_")
    assert endpoint.lines[0]["decision"] == decision
    assert f"run:token-{token.id}" in caught.value.message
    assert "maestro budget set" in caught.value.message
    assert len(models.calls) == before
    assert len(endpoint.lines) == 1
    assert endpoint.spent() == 0


def test_the_most_a_request_may_cost_can_be_said_with_it(endpoint: LlmEndpoint, key: str) -> None:
    body = {"model": "echo", "messages": HELLO, "max_tokens": 100}
    too_little = endpoint.post(key, body, **{"x-maestro-max-usd": "0.001"})
    assert too_little.status_code in (402, 429, 503)
    assert "raise that limit (`x-maestro-max-usd`), or lower `max_tokens`" in too_little.json()["error"]["message"]
    assert endpoint.post(key, body, **{"x-maestro-max-usd": "5"}).status_code == 200
    refused = endpoint.post(key, body, **{"x-maestro-max-usd": "lots"})
    assert refused.json()["error"]["param"] == "x-maestro-max-usd"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("broken", 502, "provider_failed"), ("garbage", 502, "provider_failed"), ("busy", 429, "rate_limit_exceeded")],
)
def test_a_provider_that_fails_is_told_of_with_the_decision(
    shared: tuple[LlmEndpoint, str], model: str, status: int, code: str
) -> None:
    endpoint, key = shared
    answer = endpoint.post(key, {"model": model, "messages": HELLO, "max_tokens": 10})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-maestro-decision"].startswith("dec_")
    assert answer.json()["error"]["message"]


def test_a_model_without_its_key_is_answered_for_offline_and_labelled_so(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="keyless", messages=HELLO)
    assert answer.model == "offline"
    assert (answer.choices[0].message.content or "").startswith("[offline]")
    assert answer.model_extra is not None and answer.model_extra["maestro"]["offline"] is True


def test_a_prompt_that_is_too_long_for_the_model_is_told_as_such(endpoint: LlmEndpoint, key: str) -> None:
    long = [{"role": "user", "content": "word " * 2000}]
    answer = endpoint.post(key, {"model": "small", "messages": long, "max_tokens": 10})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize("model", ["half", "error-in-stream"])
def test_a_stream_that_breaks_in_the_middle_ends_with_an_error_and_is_settled(
    endpoint: LlmEndpoint, client: OpenAI, model: str
) -> None:
    long: list[Any] = [{"role": "user", "content": "word " * 50}]
    stream = client.chat.completions.create(model=model, messages=long, stream=True, max_tokens=100)
    with pytest.raises(
        openai.APIError, match=r"ended in the middle.*; next: ask again; `maestro llm why dec_\w+`"
    ) as told:
        list(stream)
    assert "received" not in str(told.value)
    endpoint.until_settled()
    assert endpoint.spent() > 0


def test_a_client_that_leaves_in_the_middle_pays_for_what_was_used_and_the_provider_is_let_go(
    endpoint: LlmEndpoint, key: str, models: ModelServer
) -> None:
    models.disconnected.clear()
    body = {"model": "dripping", "messages": HELLO, "stream": True, "max_tokens": 4000}
    with (
        httpx.Client() as client,
        client.stream(
            "POST", f"{endpoint.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
        ) as answer,
    ):
        assert answer.status_code == 200
        lines = answer.iter_lines()
        for _ in range(6):
            next(lines)
        decision = answer.headers["x-maestro-decision"]
    assert models.disconnected.wait(20)
    endpoint.until_settled()
    # The worst case would be eight dollars and more.
    assert 0 < endpoint.spent() < 4 * NANO
    outcome = endpoint.kept(decision).outcome
    assert outcome is not None and outcome.state == "cancelled"


def test_a_client_that_leaves_before_the_answer_ends_the_call(
    endpoint: LlmEndpoint, key: str, models: ModelServer
) -> None:
    models.disconnected.clear()
    body = json.dumps({"model": "hanging", "messages": HELLO, "max_tokens": 10}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}"
    )
    calls = len(models.calls)
    with socket.create_connection(("127.0.0.1", endpoint.port)) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode() + body)
        _until(lambda: len(models.calls) > calls)
    assert models.disconnected.wait(20)
    endpoint.until_settled()


def test_a_token_has_so_many_requests_on_their_way_and_no_more(endpoint: LlmEndpoint, models: ModelServer) -> None:
    key, _ = endpoint.token("narrow", at_once=1)
    calls = len(models.calls)
    with httpx.Client() as client:
        request = {"model": "dripping", "messages": HELLO, "stream": True, "max_tokens": 4000}
        sent = {"authorization": f"Bearer {key}"}
        with client.stream("POST", f"{endpoint.url}/v1/chat/completions", json=request, headers=sent) as answer:
            lines = answer.iter_lines()
            next(lines)
            second = endpoint.post(key, {"model": "echo", "messages": HELLO})
            assert (second.status_code, second.json()["error"]["code"]) == (429, "too_many_at_once")
            assert second.headers["retry-after"] == "1"
    assert len(models.calls) == calls + 1
    _until(lambda: endpoint.post(key, {"model": "echo", "messages": HELLO}).status_code == 200)


def test_many_at_once_are_all_answered_and_balanced(endpoint: LlmEndpoint, client: OpenAI) -> None:
    texts: list[str] = []

    def ask(number: int) -> None:
        content: list[Any] = [{"role": "user", "content": f"number {number}"}]
        answer = client.chat.completions.create(model="echo", messages=content, max_tokens=50)
        texts.append(answer.choices[0].message.content or "")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(texts) == sorted(f"number {number}" for number in range(12))
    endpoint.until_settled()
    assert endpoint.spent() > 0


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b"", None, "not JSON"),
        (b"[]", None, "no JSON object"),
        (b'{"model": NaN}', None, "not JSON"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, None, "nested more than 64 deep"),
        (b"[" * 100_000, None, "nested more than 64 deep"),
        (b'{"\\ud800": 1}', "?", "'?' is not supported"),
        (
            b'{"model": "echo", "messages": [{"role": "user", "content": [{"type": "\\ud800"}]}]}',
            "messages[0].content[0].type",
            "type '?'",
        ),
        ({"messages": HELLO}, "model", "'model' is missing"),
        ({"model": "echo"}, "messages", "no list of messages"),
        ({"model": "echo", "messages": []}, "messages", "no list of messages"),
        ({"model": "echo", "messages": ["x"]}, "messages[0]", "no object"),
        ({"model": "echo", "messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "none of system"),
        ({"model": "echo", "messages": [{"role": "user"}]}, "messages[0].content", "missing"),
        ({"model": "echo", "messages": HELLO, "n": 2}, "n", "only 1 is supported"),
        ({"model": "echo", "messages": HELLO, "temperatur": 1}, "temperatur", "did you mean 'temperature'"),
        ({"model": "echo", "messages": HELLO, "temperature": 3}, "temperature", "from 0 to 2"),
        ({"model": "echo", "messages": HELLO, "max_tokens": 0}, "max_tokens", "whole number"),
        ({"model": "echo", "messages": HELLO, "stream": "yes"}, "stream", "neither true nor false"),
        ({"model": "echo", "messages": HELLO, "service_tier": "priority"}, "service_tier", 'only "auto"'),
        (
            {"model": "echo", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].type",
            "'image_url' is not supported",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    shared: tuple[LlmEndpoint, str], body: Any, param: str | None, said: str
) -> None:
    endpoint, key = shared
    answer = endpoint.post(key, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert said in error["message"]


def test_a_body_without_end_is_refused(shared: tuple[LlmEndpoint, str]) -> None:
    endpoint, key = shared
    answer = endpoint.post(key, b" " * (BODY_LIMIT + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_long")


def test_the_log_holds_nothing_of_what_was_asked_or_of_the_token(endpoint: LlmEndpoint, key: str) -> None:
    endpoint.post(key, {"model": "echo", "messages": [{"role": "user", "content": "a private matter"}]})
    endpoint.post("a-wrong-key", {"model": "echo", "messages": HELLO})
    assert [one["status"] for one in endpoint.lines] == [200, 401]
    assert "private" not in str(endpoint.lines)
    assert key not in str(endpoint.lines) and "a-wrong-key" not in str(endpoint.lines)


def _settled(endpoint: LlmEndpoint) -> int:
    endpoint.until_settled()
    return endpoint.spent()


def _until(condition: Any) -> None:
    waited = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it never came to that")


def test_an_endpoint_that_is_stopped_settles_what_is_on_its_way(tmp_path: Path, models: ModelServer) -> None:
    with httpx.Client() as client:
        with llm_endpoint(tmp_path, models) as endpoint:
            key, _ = endpoint.token()
            request = {"model": "dripping", "messages": HELLO, "stream": True, "max_tokens": 4000}
            sent = client.build_request(
                "POST", f"{endpoint.url}/v1/chat/completions", json=request, headers={"authorization": f"Bearer {key}"}
            )
            answer = client.send(sent, stream=True)
            lines = answer.iter_lines()
            next(lines)
        answer.close()
    with endpoint.ledger() as ledger:
        assert ledger.reservations() == []
        assert ledger.check() == []
        (charge,) = ledger.charges(unit="usd")
        assert 0 < charge.amount < 4 * NANO
