"""What a caller of the OpenAI-compatible endpoint is told of each failure, and how requests are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError, MaestroError
from maestro.gateway.llm_failure import LlmError, failure_of
from maestro.gateway.llm_request import OUTPUT_TOKENS, parse, read
from maestro.gateway.llm_wire import Pieces
from maestro.ledger.model import Attribution, Balance, BudgetExceededError, Scope, Unit
from maestro.llm.endpoint_tokens import TokenFile, make_token
from maestro.llm.errors import NoAnswerError
from maestro.llm.model import Answer, Attempt, Chunk, Decision, NoModelError, ProviderError, Usage, Verdict

AT = datetime(2026, 11, 21, tzinfo=UTC)
WHO = Attribution("acme", "app")


def decision(*codes: tuple[str, ...]) -> Decision:
    candidates = tuple(
        Verdict(f"m{number}", "p", tuple((code, f"because of {code}") for code in one))
        for number, one in enumerate(codes)
    )
    return Decision("dec_1", AT, WHO, "x", "", "cost", candidates, None, "why")


def no_answer(*outcomes: str, **more: Any) -> NoAnswerError:
    return NoAnswerError(
        "no", decision=decision(()), attempts=tuple(Attempt("m", one, 0.1) for one in outcomes), **more
    )


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BudgetExceededError(Balance(Scope("run", "r"), Unit.USD, 1, 1, 0), 5), 429, "insufficient_quota"),
        (NoModelError("there is none", decision=None), 404, "model_not_found"),
        (
            NoModelError("none left", decision=decision(("context",), ("no_key", "context"))),
            400,
            "context_length_exceeded",
        ),
        (NoModelError("none left", decision=decision(("policy",), ("region",))), 403, "not_allowed"),
        (NoModelError("none left", decision=decision(("rule",), ("rule", "region"))), 403, "not_allowed"),
        (NoModelError("none left", decision=decision(("over_budget",), ("over_budget",))), 429, "insufficient_quota"),
        (NoModelError("none left", decision=decision(("over_budget",), ("no_key",))), 503, "no_model_available"),
        (NoModelError("none left", decision=decision(("capability",))), 400, "model_cannot"),
        (NoModelError("none left", decision=decision(("no_key",), ("context",))), 503, "no_model_available"),
        (no_answer("unavailable", "rate_limit"), 502, "provider_failed"),
        (no_answer("rate_limit", "breaker_open"), 429, "rate_limit_exceeded"),
        (no_answer("timeout", timed_out=True), 504, "timeout"),
        (no_answer("refused", refused=True), 400, "content_filter"),
        (no_answer("context"), 400, "context_length_exceeded"),
        (no_answer("bad_request"), 400, None),
        (ProviderError("late", kind="timeout"), 504, "timeout"),
        (ProviderError("broken", kind="garbage"), 502, "provider_failed"),
        (InputError("wrong"), 400, None),
        (MaestroError("the ledger's database does not answer"), 503, "unavailable"),
    ],
)
def test_each_failure_has_its_status_and_code(error: MaestroError, status: int, code: str | None) -> None:
    found = failure_of(error)
    assert (found.status, found.code) == (status, code)
    assert set(found.body()["error"]) == {"message", "type", "param", "code"}


def test_a_client_is_told_not_to_try_again_where_that_is_no_use() -> None:
    assert failure_of(no_answer("unavailable")).headers["x-should-retry"] == "false"
    exceeded = BudgetExceededError(Balance(Scope("run", "r"), Unit.USD, 1, 1, 0), 5)
    assert failure_of(exceeded).headers["x-should-retry"] == "false"
    assert "x-should-retry" not in failure_of(MaestroError("later")).headers


def test_a_message_that_ends_a_sentence_has_no_second_end_before_what_to_do_next() -> None:
    assert failure_of(InputError("It is wrong.", next_step="mend it")).message == "It is wrong; next: mend it"


@pytest.mark.parametrize(("whose", "name"), [("the request", "x-maestro-max-usd"), ("route cheap", "max_usd")])
def test_a_limit_is_named_as_whoever_can_raise_it_writes_it(whose: str, name: str) -> None:
    what = (
        f"big cannot be used: it may cost up to $0.41, and {whose} allows $0.01 a request. To go on, raise that limit "
        "(`max_usd`), or lower `max_output_tokens`."
    )
    found = failure_of(NoModelError(what, decision=decision(("over_budget",)), next_step="`maestro llm why dec_1`"))
    assert f"raise that limit (`{name}`), or lower `max_tokens`; next: `maestro llm why dec_1`" in found.message


def test_what_to_do_next_is_part_of_the_message() -> None:
    assert failure_of(InputError("this is wrong", next_step="write that")).message == "this is wrong; next: write that"


def asked(**more: Any) -> Any:
    return read({"model": "m", "messages": [{"role": "user", "content": "x"}], **more})


def test_a_request_has_openai_s_defaults() -> None:
    found = asked()
    assert found.request.target == "m"
    assert found.request.temperature == 1.0
    assert found.request.max_output_tokens == OUTPUT_TOKENS
    assert (found.stream, found.usage) == (False, False)


@pytest.mark.parametrize("name", ["", "default", "auto"])
def test_the_default_route_can_be_asked_for_by_a_word(name: str) -> None:
    assert asked(model=name).request.target == ""


def test_parameters_the_provider_is_to_have_are_passed_on() -> None:
    found = asked(seed=3, top_p=0.5, stop=["x"], user=None, max_completion_tokens=7, max_tokens=9, temperature=0)
    assert found.request.options == {"seed": 3, "top_p": 0.5, "stop": ["x"]}
    assert (found.request.max_output_tokens, found.request.temperature) == (7, 0.0)


def test_parts_of_text_are_one_text_and_a_developer_is_the_system() -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}], "refusal": None, "audio": None},
    ]
    found = asked(messages=messages).request.messages
    assert (found[0].role, found[0].content) == ("system", "a\nb")
    assert found[1].extra == {"tool_calls": [{"id": "1"}]}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "user", "content": "x", "cache_control": {}}, "messages[0].cache_control"),
        ({"role": "assistant", "tool_calls": "x"}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": ["x"]}, "messages[0].tool_calls"),
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "user", "content": [5]}, "messages[0].content[0].type"),
        ({"role": "user", "content": "x", "name": 3}, "messages[0].name"),
        ({"role": ["user"], "content": "x"}, "messages[0].role"),
    ],
)
def test_a_message_that_cannot_be_kept_is_refused_at_its_place(message: Any, param: str) -> None:
    with pytest.raises(LlmError) as caught:
        asked(messages=[message])
    assert caught.value.param == param


@pytest.mark.parametrize("max_usd", ["", "nan", "-1", "inf", "1e400", "9" * 50])
def test_a_limit_of_dollars_that_is_none_is_refused(max_usd: str) -> None:
    with pytest.raises(LlmError, match="x-maestro-max-usd"):
        read({"model": "m", "messages": [{"role": "user", "content": "x"}]}, max_usd=max_usd)


def test_json_may_be_64_deep_and_no_deeper() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + b"1" + b"}" * depth

    assert parse(nested(64))
    for depth in (65, 5000, 1_000_000):
        with pytest.raises(LlmError, match="nested more than 64 deep"):
            parse(nested(depth))


def test_a_stream_always_ends_with_a_reason_and_the_mark() -> None:
    answer = Answer("x", "m", "p", Usage(1, 2), 5, 0.1, 0.1, "dec_1", finish="length")
    pieces = Pieces("dec_1", "m", usage=False)
    events = (pieces.piece(Chunk({"content": "x"})) or b"") + pieces.end(answer)
    lines = [line for line in events.decode().split("\n\n") if line]
    first, last, comment, mark = lines
    assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"] == {"role": "assistant", "content": "x"}
    assert json.loads(last.removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    assert comment == ": x-maestro-cost 0.000000005"
    assert mark == "data: [DONE]"
    assert pieces.piece(Chunk({})) is None


def test_tokens_are_read_again_when_their_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "llm-tokens"
    reader, writer = TokenFile(file), TokenFile(file)
    written, token = make_token(name="a", tenant="t", project="p", by="ann", now=AT)
    assert reader.find(written, AT) is None
    writer.add(token)
    assert reader.find(written, AT) == token
    writer.revoke("a", AT)
    assert reader.find(written, AT) is None


@pytest.mark.parametrize("written", ["", "maestro-", "é" * 10, "maestro-" + "0" * 12 + "-" + "A" * 43, "x" * 100_000])
def test_what_is_no_token_lets_nobody_in(tmp_path: Path, written: str) -> None:
    tokens = TokenFile(tmp_path / "llm-tokens")
    tokens.add(make_token(name="a", tenant="t", project="p", by="ann", now=AT)[1])
    assert tokens.find(written, AT) is None


def test_no_two_tokens_are_alike() -> None:
    made = {make_token(name="a", tenant="t", project="p", by="ann", now=AT)[0] for _ in range(100)}
    assert len(made) == 100
