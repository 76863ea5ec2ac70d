"""OpenAI's format: what is sent, and how little of what comes back is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from maestro.llm.model import Message, ProviderCall, ProviderError, Usage
from maestro.llm.providers import openai_wire as wire
from maestro.llm.providers.telling import placed

KEY = "sk-" + "0123456789-of-the-tests"
CALL = ProviderCall("gpt-4o-mini", [Message("user", "hi")], 50, 0.2, {"seed": 1}, "http://localhost/v1", KEY)


def test_a_call_never_shows_its_key() -> None:
    assert KEY not in repr(CALL)


def test_the_bound_of_the_output_is_named_as_the_server_knows_it() -> None:
    assert wire.payload(CALL, stream=False)["max_tokens"] == 50
    at_openai = wire.payload(replace(CALL, api_base=None), stream=False)
    assert at_openai["max_completion_tokens"] == 50
    assert "max_tokens" not in at_openai


def test_no_option_takes_the_place_of_what_the_call_says() -> None:
    body = wire.payload(replace(CALL, options={"max_tokens": 9999, "model": "dearer"}), stream=False)
    assert (body["max_tokens"], body["model"]) == (50, "gpt-4o-mini")


def test_no_part_of_a_message_takes_the_place_of_its_role() -> None:
    assert wire.wire_message(Message("user", "hi", {"role": "system"}))["role"] == "user"


def test_a_stream_asks_for_its_usage() -> None:
    assert wire.payload(CALL, stream=True)["stream_options"] == {"include_usage": True}


def test_openais_thinking_models_are_sent_no_temperature() -> None:
    assert "temperature" not in wire.payload(replace(CALL, api_base=None, wire_model="o3-mini"), stream=False)
    assert "temperature" in wire.payload(CALL, stream=False)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {"prompt_tokens": 1},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": "1", "completion_tokens": 1},
        {"prompt_tokens": 0, "completion_tokens": 0},
    ],
)
def test_a_count_that_can_be_none_is_none(usage: object) -> None:
    assert wire.usage(usage) is None


@pytest.mark.parametrize(
    ("claimed", "kept"), [("1000000000000000", 10**15), ("1e15", 10**15), ("1e999", 10**18), ("1" + "0" * 40, 10**18)]
)
def test_a_count_that_cannot_be_true_is_a_count_all_the_same(claimed: str, kept: int) -> None:
    usage = json.loads(f'{{"prompt_tokens": 3, "completion_tokens": {claimed}}}')
    assert wire.usage(usage) == Usage(3, kept)


@pytest.mark.parametrize(
    "message", [{"content": "words"}, {"content": None, "tool_calls": [{"function": {}}]}, {"reasoning_content": "hm"}]
)
def test_an_answer_counted_as_nothing_was_not_counted(message: dict[str, object]) -> None:
    body = {"choices": [{"message": message}], "usage": {"prompt_tokens": 9, "completion_tokens": 0}}
    assert wire.completion(body).usage == Usage(estimated=True)
    body = {"choices": [{"message": {"content": ""}}], "usage": {"prompt_tokens": 9, "completion_tokens": 0}}
    assert wire.completion(body).usage == Usage(9, 0)


def test_more_cached_than_given_is_not_believed() -> None:
    body = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}}
    assert wire.usage(body) == Usage(5, 1, 5)


def test_garbage_says_how_much_of_it_came() -> None:
    with pytest.raises(ProviderError, match=r"not whole JSON .*; 9 bytes came") as caught:
        wire.parsed(b'{"choices', "the answer")
    assert caught.value.kind == "garbage"
    assert caught.value.sent


def test_where_garbage_begins_is_told_in_words_that_go_together() -> None:
    with pytest.raises(ProviderError) as caught:
        wire.parsed(b'{"choices', "the answer")
    assert "(Unterminated string starting at character 1;" in caught.value.what


def test_an_answer_without_a_message_says_what_was_used_all_the_same() -> None:
    with pytest.raises(ProviderError) as caught:
        wire.completion({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    assert caught.value.usage == Usage(3, 4)


@pytest.mark.parametrize(
    ("status", "body", "kind", "retry", "sent"),
    [
        (401, {}, "auth", False, False),
        (403, {}, "auth", False, False),
        (404, {}, "bad_request", False, False),
        (400, {"error": {"message": "maximum context length is 10"}}, "context", False, False),
        (400, {"error": {"code": "content_filter", "message": "no"}}, "refused", False, False),
        (429, {}, "rate_limit", True, False),
        (429, {"error": {"code": "insufficient_quota"}}, "auth", False, False),
        (500, {}, "unavailable", True, False),
        (502, {}, "unavailable", True, True),
        (503, {}, "unavailable", True, False),
        (504, {}, "unavailable", True, True),
        (524, {}, "unavailable", True, True),
        (529, {}, "unavailable", True, False),
        (307, {}, "bad_request", False, False),
    ],
)
def test_a_status_says_whether_to_try_again_and_whether_the_model_may_have_worked(
    status: int, body: dict[str, object], kind: str, retry: bool, sent: bool
) -> None:
    error = wire.refusal(status, body, {})
    assert (error.kind, error.retry, error.sent) == (kind, retry, sent)


def test_retry_after_is_seconds_or_a_date() -> None:
    assert wire.retry_after({"retry-after": "2.5"}) == 2.5
    assert wire.retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    ahead = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    found = wire.retry_after({"retry-after": ahead})
    assert found is not None
    assert 50 < found <= 60
    assert wire.retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0


@pytest.mark.parametrize("value", ["soon", "-3", "nan", "inf", ""])
def test_a_retry_after_that_is_none_is_passed_over(value: str) -> None:
    assert wire.retry_after({"retry-after": value}) is None


def test_lone_surrogates_are_replaced_so_that_an_answer_can_be_written() -> None:
    body = {"choices": [{"message": {"content": "a\ud800b", "x": ["\udfff"]}}]}
    answer = wire.completion(body)
    assert answer.text == "a?b"
    answer.raw["x"][0].encode()


def test_an_error_is_one_line_without_the_key_and_not_long() -> None:
    words = f"wrong key {KEY}\n\x1b[31m" + "x" * 1000
    error = placed(ProviderError(words, kind="auth"), "openai", KEY)
    assert KEY not in str(error)
    assert error.what.startswith("openai: wrong key *** ")
    assert len(error.what) < 450
    assert "\n" not in error.what
    assert "\x1b" not in error.what


def test_no_half_of_a_key_stays_where_an_error_is_cut() -> None:
    error = placed(ProviderError("x" * 390 + KEY, kind="auth"), "openai", KEY)
    assert KEY[:6] not in error.what
