"""Counters of the OpenAI-compatible endpoint: their labels are bounded, and an answer from the cache costs nothing."""

from __future__ import annotations

from maestro.gateway.llm_events import Ending
from maestro.gateway.llm_metrics import MOST_MODELS, LlmMetrics
from maestro.llm.model import Answer, Usage


def answer(model: str = "m", *, cached: bool = False) -> Answer:
    return Answer("x", model, "p", Usage(10, 2, 4), 5_000_000, 0.1, 0.1, "dec_1", cached=cached)


def test_models_without_end_are_counted_together_from_some_number_on() -> None:
    metrics = LlmMetrics()
    for number in range(MOST_MODELS + 50):
        metrics.ended(Ending("ok", answer(f"m{number}")), 0.1)
    found = metrics.registry.get_sample_value
    assert found("maestro_llm_requests_total", {"model": "other", "outcome": "ok"}) == 50
    assert found("maestro_llm_requests_total", {"model": "m0", "outcome": "ok"}) == 1


def test_an_answer_that_was_given_before_uses_nothing() -> None:
    metrics = LlmMetrics()
    metrics.ended(Ending("ok", answer(cached=True)), 0.1)
    found = metrics.registry.get_sample_value
    assert found("maestro_llm_requests_total", {"model": "m", "outcome": "cached"}) == 1
    assert found("maestro_llm_tokens_total", {"model": "m", "kind": "input"}) is None


def test_an_answer_whose_last_piece_was_not_taken_is_paid_for_all_the_same() -> None:
    metrics = LlmMetrics()
    metrics.ended(Ending("client_gone", answer(), streaming="m", spent=5_000_000), 0.1)
    found = metrics.registry.get_sample_value
    assert found("maestro_llm_requests_total", {"model": "m", "outcome": "client_gone"}) == 1
    assert found("maestro_llm_cost_dollars_total", {"model": "m"}) == 0.005
    assert found("maestro_llm_tokens_total", {"model": "m", "kind": "cached"}) == 4
