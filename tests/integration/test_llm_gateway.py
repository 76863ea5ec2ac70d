"""The gateway in front of a real server: answers, streams, fallbacks, kept answers, and every kind of bad behaviour.

Whatever happens, the ledger is balanced with nothing left open when a gateway of ``llm_gateways`` is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.ledger.model import Unit
from maestro.llm.breaker import Settings
from maestro.llm.errors import NoAnswerError, StreamBrokenError
from maestro.llm.gateway import Gateway
from maestro.llm.model import Answer, Completion, Message, ModelRequest, NoModelError, ProviderCall
from tests.integration.llm_gateways import KEY, WHO, gateway
from tests.integration.model_server import ModelServer, model_server

TEXT = "hello world from maestro"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def server(running: ModelServer) -> ModelServer:
    running.calls.clear()
    running.keys.clear()
    running.seen.clear()
    running.disconnected.clear()
    running.most_at_once = 0
    return running


def request(target: str = "echo", text: str = TEXT, **more: Any) -> ModelRequest:
    return ModelRequest([Message("user", text)], target=target, **{"max_output_tokens": 100, "timeout": 20.0, **more})


def spent(made: Gateway, unit: Unit = Unit.USD) -> int:
    return sum(charge.amount for charge in made.ledger.ledger.charges(unit=str(unit)))


async def text_of(made: Gateway, asked: ModelRequest) -> tuple[str, Answer | None]:
    async with await made.stream(asked, WHO) as stream:
        text = "".join([piece.text async for piece in stream])
        return text, stream.answer


async def test_an_answer_costs_what_the_provider_counted(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}) as made:
        answer = await made.ask(request(), WHO)
        await made.settled()
        assert (answer.text, answer.model, answer.provider, answer.finish) == (TEXT, "echo", "local", "stop")
        assert answer.cost_nano == 7 * 1000 + 7 * 2000 == spent(made)
        assert spent(made, Unit.TOKENS) == 14
        kept = made.decisions.get(answer.decision)
        assert kept.decision.chosen == "echo"
        assert kept.outcome is not None
        assert (kept.outcome.state, kept.outcome.cost_nano) == ("answered", answer.cost_nano)
    assert server.keys == [f"Bearer {KEY}"]


async def test_the_decision_and_the_worst_case_are_kept_before_anything_leaves(
    server: ModelServer, tmp_path: Path
) -> None:
    async with gateway(tmp_path, server.url, {"hang": {}}) as made:
        asking = asyncio.create_task(made.ask(request("hang"), WHO))
        while not server.calls:
            await asyncio.sleep(0.005)
        (held,) = made.ledger.ledger.reservations()
        (kept,) = made.decisions.list()
        assert held.amounts[Unit.USD] >= 100 * 2000
        assert held.decision == kept.decision.id
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await made.settled()
        assert spent(made) == held.amounts[Unit.USD]
        outcome = made.decisions.get(kept.decision.id).outcome
        assert outcome is not None
        assert (outcome.state, outcome.cost_nano) == ("cancelled", spent(made))


async def test_a_streamed_answer_is_the_same_and_costs_the_same(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}) as made:
        text, answer = await text_of(made, request())
        assert answer is not None
        await made.settled()
        assert text == answer.text == TEXT
        assert answer.cost_nano == spent(made) == 7 * 1000 + 7 * 2000
        assert answer.first_token <= answer.seconds


async def test_tool_calls_are_passed_on_in_openais_format(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"tools": {}}) as made:
        answer = await made.ask(request("tools"), WHO)
        assert answer.finish == "tool_calls"
        assert answer.raw["tool_calls"][0]["function"]["name"] == "look_up"


GARBAGE = {
    "truncated": "not whole JSON",
    "cut": "without sending complete message body",
    "endless": "does not end",
    "html": "content type 'text/html; charset=utf-8' instead of JSON",
    "compressed": "compressed the answer",
    "empty": "not whole JSON",
    "no-choices": "holds no message",
    "not-an-object": "JSON but no object",
    "deep": "not whole JSON",
    "nan": "not whole JSON",
    "headers": "broke off",
    "close": "broke off",
    "drip": "did not send the whole answer within 0.3 s",
    "hang": "did not send the whole answer within 0.3 s",
}


@pytest.mark.parametrize("behaviour", GARBAGE)
async def test_what_is_no_answer_is_charged_at_the_worst_and_another_model_answers(
    server: ModelServer, tmp_path: Path, behaviour: str
) -> None:
    def once(made: Gateway) -> None:
        made.retries = made.retries.__class__(tries=1)

    models = {behaviour: {"timeout": 0.3 if "within 0.3 s" in GARBAGE[behaviour] else 20}, "echo": {}}
    async with gateway(tmp_path, server.url, models, prepare=once) as made:
        answer = await made.ask(request(behaviour, fallback=("echo",)), WHO)
        await made.settled()
        failed, ok = answer.attempts
        assert answer.text == TEXT
        assert (failed.model, ok.model, ok.outcome) == (behaviour, "echo", "ok")
        assert GARBAGE[behaviour] in failed.reason
        charges = list(made.ledger.ledger.charges(unit="usd"))
        assert [charge.model for charge in charges] == [behaviour, "echo"]
        assert charges[0].facts["failed"] == failed.outcome
        assert charges[0].reservation != charges[1].reservation
        assert answer.cost_nano == sum(charge.amount for charge in charges)


async def test_what_the_provider_says_was_used_is_charged_when_its_answer_is_none(
    server: ModelServer, tmp_path: Path
) -> None:
    async with gateway(tmp_path, server.url, {"no-choices": {}}) as made:
        with pytest.raises(NoAnswerError):
            await made.ask(request("no-choices"), WHO)
        await made.settled()
        assert spent(made) == 3 * 1000 + 4 * 2000


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 529])
async def test_a_refusal_costs_nothing(server: ModelServer, tmp_path: Path, status: int) -> None:
    async with gateway(tmp_path, server.url, {f"status/{status}": {}}) as made:
        with pytest.raises(NoAnswerError, match=f"it answered {status}: this server was asked for {status}") as caught:
            await made.ask(request(f"status/{status}"), WHO)
        await made.settled()
        assert spent(made) == 0
        assert caught.value.cost_nano == 0
        assert f"maestro llm why {caught.value.decision.id}" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("status/401", "check the key (`maestro llm models` shows where it is read from), and what it may do"),
        ("redirect", "redirects are not followed; put the final address into `api_base`"),
        ("status/404", "check `api_base` in models.yaml, and `wire_model`, the model's name there"),
        ("status/400", "ask another model"),
    ],
)
async def test_a_refusal_says_what_to_do_about_this_one(
    server: ModelServer, tmp_path: Path, model: str, advice: str
) -> None:
    async with gateway(tmp_path, server.url, {model: {}}) as made:
        with pytest.raises(NoAnswerError) as caught:
            await made.ask(request(model), WHO)
        decided = caught.value.decision.id
        assert caught.value.next_step == f"{advice}; `maestro llm why {decided}` shows the candidates"


async def test_a_server_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    async with gateway(tmp_path, "http://127.0.0.1:1/v1", {"echo": {}}) as made:
        with pytest.raises(NoAnswerError, match=r"local at 127\.0\.0\.1:1 cannot be reached"):
            await made.ask(request(), WHO)
        await made.settled()
        assert spent(made) == 0


async def test_a_redirect_is_not_followed(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"redirect": {}}) as made:
        with pytest.raises(NoAnswerError, match="it answered 307"):
            await made.ask(request("redirect"), WHO)


async def test_a_short_retry_after_is_waited_for(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"retry-after/0.05": {}}) as made:
        answer = await made.ask(request("retry-after/0.05"), WHO)
        assert [one.outcome for one in answer.attempts] == ["rate_limit", "ok"]
        assert answer.seconds >= 0.05
        await made.settled()
        assert answer.cost_nano == spent(made) == 21_000


async def test_a_long_retry_after_sends_the_request_to_the_next_and_closes_the_first(
    server: ModelServer, tmp_path: Path
) -> None:
    async with gateway(tmp_path, server.url, {"retry-after/30": {}, "echo": {}}) as made:
        answer = await made.ask(request("retry-after/30", fallback=("echo",)), WHO)
        assert [one.model for one in answer.attempts] == ["retry-after/30", "echo"]
        decision = await made.decide(request("retry-after/30", fallback=("echo",)), WHO)
        (verdict,) = [one for one in decision.candidates if one.model == "retry-after/30"]
        assert verdict.skipped[0][0] == "breaker_open"
        assert decision.chosen == "echo"


async def test_500s_are_tried_again(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"flaky/2": {}}) as made:
        answer = await made.ask(request("flaky/2"), WHO)
        assert [one.outcome for one in answer.attempts] == ["unavailable", "unavailable", "ok"]


async def test_a_deployment_that_keeps_failing_is_left_alone(server: ModelServer, tmp_path: Path) -> None:
    def strict(made: Gateway) -> None:
        made.breakers.settings = Settings(failures=2, wait=60)

    async with gateway(tmp_path, server.url, {"status/500": {}}, prepare=strict) as made:
        with pytest.raises(NoAnswerError, match="circuit breaker is open"):
            await made.ask(request("status/500"), WHO)
        assert len(server.calls) == 2
        with pytest.raises(NoModelError) as caught:
            await made.ask(request("status/500"), WHO)
        assert caught.value.decision is not None
        assert len(server.calls) == 2
        await made.settled()
        assert made.decisions.get(caught.value.decision.id).outcome is not None


async def test_the_time_of_a_request_holds_over_all_its_tries(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"hang": {}, "slow/5": {}}) as made:
        with pytest.raises(NoAnswerError) as caught:
            await made.ask(request("hang", fallback=("slow/5",), timeout=0.3), WHO)
        assert caught.value.timed_out
        await made.settled()
        assert caught.value.cost_nano == spent(made) > 0


async def test_no_more_calls_run_at_once_than_a_deployment_takes(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"slow/0.01": {"concurrency": 3}}) as made:
        await asyncio.gather(*(made.ask(request("slow/0.01", f"{n}"), WHO) for n in range(12)))
        assert server.most_at_once == 3


async def test_a_request_whose_time_was_spent_on_waiting_says_so(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"hang": {"concurrency": 1}}) as made:
        holding = asyncio.create_task(made.ask(request("hang"), WHO))
        while not server.calls:
            await asyncio.sleep(0.005)
        with pytest.raises(NoAnswerError, match="hang: all 1 calls it takes at once were taken") as caught:
            await made.ask(request("hang", timeout=0.1), WHO)
        assert (caught.value.timed_out, caught.value.cost_nano) == (True, 0)
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding


async def test_a_provider_with_a_defect_is_passed_over_and_its_secrets_are_not_logged(
    server: ModelServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        name = "broken"

        async def complete(self, call: ProviderCall) -> Completion:
            raise ZeroDivisionError(call.api_key)

        async def close(self) -> None:
            raise ZeroDivisionError

    def broken(made: Gateway) -> None:
        make = made._make_provider
        made._make_provider = lambda model: Broken() if model.name == "broken" else make(model)  # type: ignore[assignment,return-value]  # It does not stream.

    providers = {"bad": {"kind": "openai", "api_base": server.url, "key": "env:TEST_KEY", "region": "local"}}
    models = {"broken": {"provider": "bad"}, "echo": {}}
    async with gateway(tmp_path, server.url, models, prepare=broken, more_providers=providers) as made:
        answer = await made.ask(request("broken", fallback=("echo",)), WHO)
        assert answer.model == "echo"
        assert answer.attempts[0].reason == "bad failed (ZeroDivisionError); the log says more"
    assert "ZeroDivisionError" in caplog.text
    assert KEY not in caplog.text


async def test_an_equal_question_is_answered_from_the_store_for_nothing(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}, store=True) as made:
        first = await made.ask(request(), WHO)
        second = await made.ask(request(), WHO)
        await made.settled()
        assert (first.cached, second.cached) == (False, True)
        assert (second.text, second.cost_nano) == (first.text, 0)
        assert len(server.calls) == 1
        assert spent(made) == first.cost_nano
        outcome = made.decisions.get(second.decision).outcome
        assert outcome is not None
        assert outcome.state == "cached"


@pytest.mark.parametrize("changed", [{"temperature": 0.5}, {"cache": False}])
async def test_what_may_be_answered_otherwise_is_asked_again(
    server: ModelServer, tmp_path: Path, changed: dict[str, Any]
) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}, store=True) as made:
        for _ in range(2):
            assert not (await made.ask(request(**changed), WHO)).cached


async def test_a_step_that_is_repeated_is_not_charged_twice(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}, store=True) as made:
        asked = request(temperature=0.7, idempotency="run-1/review/1")
        await made.ask(asked, WHO)
        again = await made.ask(asked, WHO)
        other = await made.ask(request(temperature=0.7, idempotency="run-1/review/2"), WHO)
        assert (again.cached, other.cached) == (True, False)


@pytest.mark.parametrize(
    ("behaviour", "received", "reason"),
    [
        ("half/3", "hello world fro", "broke off"),
        ("error-in-stream/2", "hello worl", "the model fell over"),
        ("stuck/2", "hello worl", "within 0.4 s"),
        ("truncated", "begun", "not whole JSON"),
    ],
)
async def test_a_stream_that_dies_says_what_came_and_no_other_model_goes_on(
    server: ModelServer, tmp_path: Path, behaviour: str, received: str, reason: str
) -> None:
    models = {behaviour: {"timeout": 0.4 if "within 0.4 s" in reason else 20}, "echo": {}}
    async with gateway(tmp_path, server.url, models) as made:
        stream = await made.stream(request(behaviour, fallback=("echo",)), WHO)
        pieces = []
        with pytest.raises(StreamBrokenError, match=reason) as caught:
            async for piece in stream:
                pieces.append(piece.text)
        assert "".join(pieces) == caught.value.received == received
        assert stream.answer is None
        assert len(server.calls) == 1
        await made.settled()
        assert 0 < spent(made) == caught.value.cost_nano
        outcome = made.decisions.get(caught.value.decision.id).outcome
        assert outcome is not None
        assert outcome.state == "failed"
        with pytest.raises(StreamBrokenError):
            await anext(stream)


@pytest.mark.parametrize("behaviour", ["status/500", "html", "hang", "long-line", "close"])
async def test_a_stream_that_never_began_is_begun_by_another_model(
    server: ModelServer, tmp_path: Path, behaviour: str
) -> None:
    async with gateway(tmp_path, server.url, {behaviour: {"timeout": 0.3}, "echo": {}}) as made:
        text, answer = await text_of(made, request(behaviour, fallback=("echo",)))
        assert text == TEXT
        assert answer is not None
        assert answer.model == "echo"


async def test_a_stream_without_an_end_is_cut_off(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"endless": {"timeout": 20}}) as made:
        with pytest.raises(StreamBrokenError, match="does not end"):
            await text_of(made, request("endless"))


async def test_leaving_a_stream_settles_what_was_used_and_hangs_up(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"drip": {}}) as made:
        async with await made.stream(request("drip", max_output_tokens=1000), WHO) as stream:
            await anext(stream)
            await anext(stream)
        await made.settled()
        assert 256 * 2000 < spent(made) < 1000 * 2000
        assert await asyncio.to_thread(server.disconnected.wait, 5)


async def test_cancelling_in_the_middle_of_a_stream_settles_too(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"stuck/2": {}}) as made:
        begun = asyncio.Event()

        async def read() -> None:
            async for _piece in await made.stream(request("stuck/2"), WHO):
                begun.set()

        reading = asyncio.create_task(read())
        await begun.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await made.settled()
        assert spent(made) > 0


async def test_a_stream_nobody_closed_is_settled_when_it_is_forgotten(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"drip": {}}) as made:
        stream = await made.stream(request("drip"), WHO)
        await anext(stream)
        del stream
        await asyncio.sleep(0)
        await made.settled()
        assert spent(made) > 0


async def test_a_dry_decision_keeps_and_asks_nothing(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}) as made:
        decision = await made.decide(request(), WHO)
        assert decision.chosen == "echo"
        assert list(made.decisions.list()) == []
    assert server.calls == []


async def test_health_says_what_is_wrong_with_each_model_and_decisions_use_it(
    server: ModelServer, tmp_path: Path
) -> None:
    models = {"echo": {}, "away": {"api_base": "http://127.0.0.1:1/v1"}}
    async with gateway(tmp_path, server.url, models) as made:
        found = await made.health(["echo", "away", "gpt-4o-mini"])
        assert found["echo"] is None
        assert "does not answer" in str(found["away"])
        assert "OPENAI_API_KEY is not set" in str(found["gpt-4o-mini"])
        decision = await made.decide(request("away", fallback=("echo",)), WHO)
        assert decision.chosen == "echo"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (request("ecko"), "'ecko' is no model.*|echo"),
        (request(options={"n": 3}), "'n' cannot be set"),
        (ModelRequest([], target="echo"), "needs a message"),
    ],
)
async def test_a_request_that_cannot_be_made_says_why_and_costs_nothing(
    server: ModelServer, tmp_path: Path, asked: ModelRequest, words: str
) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}) as made:
        with pytest.raises(InputError, match=words):
            await made.ask(asked, WHO)
    assert server.calls == []


async def test_a_byte_order_mark_takes_no_piece_away(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"bom": {}}) as made:
        text, _ = await text_of(made, request("bom"))
        assert text == "first " + TEXT


async def test_the_offline_provider_counts_alike_whole_and_streamed(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}) as made:
        whole = await made.ask(request("offline", "hello"), WHO)
        _, streamed = await text_of(made, request("offline", "hello"))
        await made.settled()
        assert streamed is not None
        assert whole.usage == streamed.usage
        assert whole.usage.input_tokens == 2
        kept = made.decisions.get(whole.decision).outcome
        assert kept is not None
        assert (kept.input_tokens, kept.output_tokens) == (whole.usage.input_tokens, whole.usage.output_tokens)
