"""What the gateway is made of: charges, options, waits, kept answers, pieces put together, keys."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.ledger.model import Unit
from maestro.llm.answers import AnswerCache, KeptAnswer, question, repetition, worth_keeping
from maestro.llm.assembly import Assembly
from maestro.llm.catalogue import Model
from maestro.llm.charging import Bounds, bounds, made_in
from maestro.llm.keyring import Keyring
from maestro.llm.model import Chunk, Completion, Message, ModelRequest, ProviderError, Usage
from maestro.llm.options import check_messages, checked_options
from maestro.llm.prices import Price, Rate
from maestro.llm.redact import Redaction, Redactor
from maestro.llm.refreshed import Refreshed
from maestro.llm.retries import Retries

PRICE = Price((Rate(1_000_000_000, 2_000_000_000, 500_000_000),), "test")
MODEL = Model("m", "p", "openai", "wire-m", max_output=200, price=PRICE)


def usd(most: Bounds, usage: Usage) -> int:
    return most.charge(usage)[Unit.USD]


def test_what_is_reserved_is_the_most_the_call_can_cost() -> None:
    assert bounds(MODEL, 100, 1000).amounts() == {Unit.USD: 100 * 1000 + 200 * 2000, Unit.TOKENS: 300}


def test_an_answer_without_a_count_is_charged_by_its_bytes_and_never_above_the_bound() -> None:
    most = bounds(MODEL, 100, 50)
    assert most.whole(10) == Usage(100, 10, estimated=True)
    assert most.whole(10_000) == most.usage


def test_each_text_of_an_answer_is_counted_once_and_its_role_is_none() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    assert made_in({"role": "assistant", "content": "hello from the model"}) == 20
    assert made_in({"role": "assistant", "content": None, "refusal": "no, not that"}) == 12
    assert made_in({"content": "four", "reasoning": "thought", "reasoning_content": "thought"}) == 4 + 7
    assert made_in({"content": "same", "reasoning": "same"}) == 8
    assert made_in({"content": "", "tool_calls": [call, call]}) == 2 * len("c1functionlook{}")
    assert made_in({"content": "Zoë", "thinking": "of what nobody named yet"}) == 4 + 24


def test_a_count_is_believed_until_no_call_of_this_size_can_have_used_so_much() -> None:
    most = bounds(MODEL, 100, 50)
    for said in (Usage(80, 40), Usage(2 * 100 + 1024, 2 * 50 + 1024)):
        assert most.believed(said) is said
    for said in (Usage(2 * 100 + 1025, 1), Usage(1, 2 * 50 + 1025), Usage(10**9, 10**9)):
        assert most.believed(said) == most.usage


def test_a_stream_that_was_left_is_charged_for_what_was_on_its_way_too() -> None:
    most = bounds(replace(MODEL, max_output=100_000), 100, 100_000)
    assert most.broken_off(10, 0.0).output_tokens == 10 + 256
    assert most.broken_off(10, 2.0).output_tokens == 10 + 256 + 1000
    assert most.broken_off(10, 1e9) == most.usage


def test_a_model_that_thinks_unseen_is_charged_the_worst_case() -> None:
    thinker = bounds(replace(MODEL, capabilities=frozenset({"reasoning"})), 100, 200)
    assert thinker.broken_off(1, 0.0) == thinker.usage
    assert thinker.whole(1) == thinker.usage


def test_the_worst_case_is_charged_as_it_was_reserved_where_long_requests_cost_otherwise() -> None:
    tiers = Price((Rate(9_000_000_000, 9_000_000_000, 0), Rate(1_000_000_000, 1_000_000_000, 0, over=50)), "test")
    most = bounds(replace(MODEL, price=tiers), 100, 10)
    assert usd(most, most.usage) == most.amounts()[Unit.USD] == 110 * 9000


def test_options_that_cost_more_are_refused_and_the_nearest_is_named() -> None:
    with pytest.raises(InputError, match="'service_tier' cannot be set here"):
        checked_options({"service_tier": "priority"})
    with pytest.raises(InputError, match="use response_format"):
        checked_options({"response_fromat": {}})
    with pytest.raises(InputError, match="max_output_tokens of the request"):
        checked_options({"max_tokens": 10})
    with pytest.raises(InputError, match="'n' cannot be set"):
        checked_options({"n": 2})
    assert checked_options({"n": 1, "seed": 7}) == {"seed": 7}


FUNCTION: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look_up", "description": "x", "parameters": {}, "strict": True},
}


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 1000},
        {"type": "mcp", "server_url": "https://elsewhere.invalid"},
        {"type": "advisor_20260301", "model": "the-dearest-there-is"},
        {"googleSearch": {}},
        {**FUNCTION, "googleSearch": {}},
        {**FUNCTION, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "function", "function": {**FUNCTION["function"], "cache_control": {"type": "ephemeral"}}},
        {"type": "function", "function": "look_up"},
        "look_up",
    ],
)
def test_a_tool_the_provider_carries_out_or_prices_apart_is_refused(tool: Any) -> None:
    with pytest.raises(InputError, match=r"no plain function|description of a function"):
        checked_options({"tools": [FUNCTION, tool]})


def test_functions_of_the_caller_may_be_offered() -> None:
    options = {"tools": [FUNCTION], "functions": [FUNCTION["function"]]}
    assert checked_options(options) == options
    with pytest.raises(InputError, match="'tools' is no list"):
        checked_options({"tools": {"type": "function"}})


def test_a_mark_with_a_price_is_found_however_deep_it_is() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "cache_control": {}}
    with pytest.raises(InputError, match="message 1 has the mark 'cache_control'"):
        check_messages([Message("assistant", "", {"tool_calls": [call]})])


def test_messages_hold_text_and_known_parts() -> None:
    with pytest.raises(InputError, match="needs a message"):
        check_messages([])
    with pytest.raises(InputError, match="message 2 has the part 'cache_control'"):
        check_messages([Message("user", "x"), Message("user", "x", {"cache_control": {}})])
    with pytest.raises(InputError, match="message 1 holds something else than text"):
        check_messages([Message("user", [{"type": "image_url"}])])  # type: ignore[arg-type]  # no text


def test_a_wait_is_what_the_provider_asked_for() -> None:
    error = ProviderError("429", kind="rate_limit", retry=True, retry_after=3.0)
    assert Retries().wait(error, 1, left=60, last=False) == 3.0


def test_a_long_wait_sends_the_request_on_unless_there_is_nobody_else() -> None:
    error = ProviderError("429", kind="rate_limit", retry=True, retry_after=30.0)
    assert Retries().wait(error, 1, left=60, last=False) is None
    assert Retries().wait(error, 1, left=60, last=True) == 30.0
    assert Retries().wait(error, 1, left=20, last=True) is None


def test_waits_grow_at_random_and_end() -> None:
    random.seed(1)
    error = ProviderError("500", kind="unavailable", retry=True)
    retries = Retries(tries=3, first=1.0)
    first, second = (retries.wait(error, tried, left=60, last=True) for tried in (1, 2))
    assert first is not None
    assert second is not None
    assert 0 <= first <= 1
    assert 0 <= second <= 2
    assert retries.wait(error, 3, left=60, last=True) is None
    assert retries.wait(ProviderError("no", kind="auth"), 1, left=60, last=True) is None


def test_pieces_become_the_message_they_were_cut_from() -> None:
    assembly = Assembly()
    for piece in (
        Chunk({"role": "assistant", "content": "Hel"}),
        Chunk({"content": "lo", "reasoning_content": "hm"}),
        Chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
        Chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]}),
        Chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}, "tool_calls"),
        Chunk({}, usage=Usage(1, 2)),
    ):
        assembly.add(piece)
    whole = assembly.completion(Usage(1, 2))
    assert (whole.text, whole.finish, assembly.usage) == ("Hello", "tool_calls", Usage(1, 2))
    assert [call["function"]["arguments"] for call in whole.raw["tool_calls"]] == ['{"x": 1}', "{}"]
    assert whole.raw["reasoning_content"] == "hm"


def test_a_count_before_the_end_is_no_count_of_the_whole() -> None:
    assembly = Assembly()
    assembly.add(Chunk({"role": "assistant", "content": ""}, usage=Usage(10, 1)))
    assert assembly.usage == Usage(10, 1)
    assembly.add(Chunk({"content": "much more"}))
    said: Usage | None = assembly.usage
    assert said is None
    assert assembly.counted == Usage(10, 1)
    assembly.add(Chunk({"content": "!"}, usage=Usage(10, 4)))
    assembly.add(Chunk({}, "stop"))
    assert assembly.usage == Usage(10, 4)


def test_a_stream_with_a_text_and_a_count_of_none_was_not_counted() -> None:
    assembly = Assembly()
    assembly.add(Chunk({"content": "word"}))
    assembly.add(Chunk({}, "stop", Usage(10, 0)))
    assert assembly.usage is None


def test_pieces_that_are_none_are_passed_over() -> None:
    assembly = Assembly()
    assembly.add(Chunk({"tool_calls": "no", "content": 3}))
    assembly.add(Chunk({"tool_calls": [None, {"index": "x", "function": 7}]}))
    assert assembly.completion(Usage()).text == ""


class Kept:
    """Objects in memory, as the artifact store has them."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}

    def read(self, key: str) -> Any:
        return (self.found[key], None) if key in self.found else None

    def replace(self, key: str, data: bytes) -> None:
        self.found[key] = data


def test_a_kept_answer_comes_back_and_a_damaged_one_does_not() -> None:
    objects = Kept()
    cache = AnswerCache(SimpleNamespace(objects=objects))  # type: ignore[arg-type]  # All that it uses.
    answer = Completion("fine", Usage(3, 4), raw={"role": "assistant", "content": "fine"})
    asyncio.run(cache.keep("k", answer, "m"))
    assert asyncio.run(cache.find("k")) == KeptAnswer(answer, "k")
    (name,) = objects.found
    assert name == "llm/answers/k.json"
    objects.found["llm/answers/other.json"] = objects.found[name]
    assert asyncio.run(cache.find("other")) is None
    objects.found[name] = objects.found[name].replace(b"fine", b"evil")
    assert asyncio.run(cache.find("k")) is None
    objects.found[name] = b"no"
    assert asyncio.run(cache.find("k")) is None


def asked(text: str = "hi", **more: Any) -> ModelRequest:
    return ModelRequest([Message("user", text)], options={"seed": 1}, **more)


def taken(request: ModelRequest) -> Redaction:
    return Redactor().request(request.messages, request.options)


def test_everything_that_may_change_the_answer_is_in_its_key() -> None:
    def key(model: Model = MODEL, tenant: str = "acme", text: str = "hi", **more: Any) -> str:
        request = asked(text, **more)
        return question(model, taken(request), request, tenant=tenant)

    others = [
        key(replace(MODEL, wire_model="other")),
        key(replace(MODEL, api_base="http://elsewhere")),
        key(replace(MODEL, provider="q")),
        key(replace(MODEL, kind="litellm", litellm="openai")),
        key(text="hello"),
        key(tenant="other"),
        key(max_output_tokens=11),
        key(temperature=0.5),
    ]
    assert len({key(), *others}) == 9


def test_neither_who_asks_nor_how_the_model_is_called_here_changes_the_key_of_a_question() -> None:
    def key(model: Model, **more: Any) -> str:
        return question(model, taken(asked()), asked(**more), tenant="acme")

    assert key(MODEL) == key(MODEL, idempotency="again", target="m", branch="main", max_nano=7)
    assert key(MODEL) == key(replace(MODEL, name="alias", quality=0.9))


def test_a_repetition_is_of_the_same_step_the_same_question_and_the_same_targets() -> None:
    def key(tenant: str = "acme", text: str = "hi", **more: Any) -> str:
        request = asked(text, **{"idempotency": "run-1/review", "target": "m", **more})
        return repetition(taken(request), request, tenant=tenant)

    assert key() == key()
    others = [
        key(tenant="other"),
        key(text="hello"),
        key(idempotency="run-1/triage"),
        key(target="n"),
        key(fallback=("n",)),
        key(temperature=0.5),
    ]
    assert len({key(), *others}) == 7
    assert key() != question(MODEL, taken(asked()), asked(), tenant="acme")


def test_only_an_answer_that_ended_by_itself_is_worth_keeping() -> None:
    assert worth_keeping(Completion("x", Usage()))
    assert not worth_keeping(Completion("x", Usage(), "length"))
    assert not worth_keeping(Completion("", Usage()))


def test_a_missing_key_says_where_it_was_looked_for(tmp_path: Path) -> None:
    keyring = Keyring(["env:MISSING_KEY", f"file:{tmp_path}/key"], {})
    assert keyring.present == frozenset()
    with pytest.raises(InputError, match="environment variable MISSING_KEY is not set"):
        keyring.value("env:MISSING_KEY")
    with pytest.raises(InputError, match="does not exist"):
        keyring.value(f"file:{tmp_path}/key")
    assert keyring.value(None) is None


def test_what_cannot_be_a_key_is_told_from_a_missing_one_and_never_shown(tmp_path: Path) -> None:
    empty, odd = tmp_path / "empty", tmp_path / "odd"
    for file in (empty, odd):
        file.write_bytes(b"" if file is empty else b"\xff\xfe\xfd\xfc\xfb")
        file.chmod(0o600)
    references = ["env:SHORT", "env:EMPTY", "env:MISSING", f"file:{empty}", f"file:{tmp_path}/no", f"file:{odd}"]
    keyring = Keyring(references, {"SHORT": "q7#", "EMPTY": ""})
    assert keyring.present == frozenset()
    assert keyring.unusable == {
        "env:SHORT": "environment variable SHORT is too short: it has fewer than 4 characters, which cannot be masked safely",
        f"file:{odd}": f"file {odd} is not UTF-8 text",
    }


def test_a_key_in_a_file_others_can_read_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("a-long-enough-key\n")
    file.chmod(0o644)
    with pytest.raises(InputError, match="open to others"):
        Keyring([f"file:{file}"], {}).value(f"file:{file}")
    file.chmod(0o600)
    assert Keyring([f"file:{file}"], {}).value(f"file:{file}") == "a-long-enough-key"


def test_a_fact_that_cannot_be_looked_up_stays_as_it_was() -> None:
    async def scenario() -> list[str]:
        facts = iter(["first"])
        looked = asyncio.Event()

        async def look() -> str:
            looked.set()
            return next(facts)

        fact = Refreshed(look, "unknown", fresh=0.0)
        seen = [await fact.value()]
        looked.clear()
        await fact.value()
        await looked.wait()
        seen.append(await fact.value())
        await fact.close()
        return seen

    assert asyncio.run(scenario()) == ["first", "first"]
