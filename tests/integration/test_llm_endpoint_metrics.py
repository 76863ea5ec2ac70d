"""What the OpenAI-compatible endpoint counts for Prometheus, and what its log says of cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from maestro.ledger.model import NANO, Unit
from tests.integration.llm_endpoint import LlmEndpoint, llm_endpoint
from tests.integration.model_server import ModelServer, model_server

HELLO: list[Any] = [{"role": "user", "content": "one two three four five"}]
REQUESTS = "maestro_llm_requests_total"


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def endpoint(tmp_path: Path, models: ModelServer) -> Iterator[LlmEndpoint]:
    with llm_endpoint(tmp_path, models) as running:
        yield running


@pytest.fixture
def key(endpoint: LlmEndpoint) -> str:
    return endpoint.token()[0]


def measured(endpoint: LlmEndpoint) -> dict[tuple[str, ...], float]:
    """Name and values of labels, in the order of the labels' names but the model first -> value."""
    text = httpx.get(f"{endpoint.url}/metrics", timeout=30).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items(), key=_model_first))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def _model_first(label: tuple[str, str]) -> tuple[bool, str]:
    return label[0] != "model", label[0]


def until(ready: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(1000):
        if ready():
            return
        waited.wait(0.01)
    raise AssertionError("it did not come to be")


def test_an_answer_is_counted_by_model_with_its_tokens_dollars_and_time(endpoint: LlmEndpoint, key: str) -> None:
    cost = Decimal(endpoint.post(key, {"model": "echo", "messages": HELLO}).headers["x-maestro-cost"])
    found = measured(endpoint)
    assert found[REQUESTS, "echo", "ok"] == 1
    tokens = [found["maestro_llm_tokens_total", "echo", kind] for kind in ("input", "output")]
    assert sum(tokens) == 12
    assert found["maestro_llm_cost_dollars_total", "echo"] == pytest.approx(float(cost))
    assert found["maestro_llm_seconds_count", "echo"] == 1
    (line,) = endpoint.lines
    assert (line["outcome"], Decimal(line["usd"])) == ("ok", cost)


def test_a_budget_that_does_not_hold_a_request_is_counted_by_the_kind_of_its_scope(endpoint: LlmEndpoint) -> None:
    key, token = endpoint.token("poor")
    with endpoint.ledger() as ledger:
        ledger.set_limit(token.scope, Unit.USD, 1, actor="ann", reason="nothing")
    assert endpoint.post(key, {"model": "echo", "messages": HELLO}).status_code == 429
    found = measured(endpoint)
    assert found["maestro_llm_reservations_refused_total", "run"] == 1
    assert found[REQUESTS, "none", "insufficient_quota"] == 1


def test_a_stream_is_logged_and_counted_when_it_ends_with_what_it_cost(endpoint: LlmEndpoint, key: str) -> None:
    answer = endpoint.post(key, {"model": "seven-words", "messages": HELLO, "stream": True})
    until(lambda: len(endpoint.lines) == 1)
    (line,) = endpoint.lines
    assert (line["outcome"], line["status"], line["decision"]) == ("ok", 200, answer.headers["x-maestro-decision"])
    assert f": x-maestro-cost {line['usd']}" in answer.text
    assert measured(endpoint)[REQUESTS, "seven-words", "ok"] == 1


def test_a_stream_that_breaks_is_counted_as_what_it_came_to_and_its_cost_is_logged(
    endpoint: LlmEndpoint, key: str
) -> None:
    endpoint.post(key, {"model": "error-in-stream", "messages": HELLO, "stream": True, "max_tokens": 100})
    until(lambda: len(endpoint.lines) == 1)
    (line,) = endpoint.lines
    endpoint.until_settled()
    assert line["outcome"] == "provider_failed"
    assert Decimal(line["usd"]) * NANO == endpoint.spent() > 0
    found = measured(endpoint)
    assert found[REQUESTS, "error-in-stream", "provider_failed"] == 1
    assert found["maestro_llm_cost_dollars_total", "error-in-stream"] == pytest.approx(float(line["usd"]))


def test_a_client_that_leaves_a_stream_is_logged_with_what_it_pays(endpoint: LlmEndpoint, key: str) -> None:
    body = {"model": "dripping", "messages": HELLO, "stream": True, "max_tokens": 4000}
    sent = {"authorization": f"Bearer {key}"}
    with (
        httpx.Client() as client,
        client.stream("POST", f"{endpoint.url}/v1/chat/completions", json=body, headers=sent) as answer,
    ):
        lines = answer.iter_lines()
        for _ in range(6):
            next(lines)
    until(lambda: len(endpoint.lines) == 1)
    (line,) = endpoint.lines
    endpoint.until_settled()
    assert line["outcome"] == "client_gone"
    assert Decimal(line["usd"]) * NANO == endpoint.spent() > 0


def test_names_nobody_knows_make_no_new_series(endpoint: LlmEndpoint, key: str) -> None:
    for number in range(5):
        assert endpoint.post(key, {"model": f"nonsense-{number}", "messages": HELLO}).status_code == 404
        assert endpoint.post(f"wrong-{number}", {"model": "echo", "messages": HELLO}).status_code == 401
    found = measured(endpoint)
    assert {name[1:]: value for name, value in found.items() if name[0] == REQUESTS} == {
        ("none", "model_not_found"): 5,
        ("none", "invalid_api_key"): 5,
    }
