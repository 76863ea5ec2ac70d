"""Budgets hold under many callers at once, whatever becomes of their calls; prices are those of the decision."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro.ledger.model import Attribution, BudgetExceededError, Crossing, Scope, Unit
from maestro.ledger.writer import AsyncLedger
from maestro.llm.catalogue import load_catalogue
from maestro.llm.decisions import DecisionStore
from maestro.llm.errors import NoAnswerError, StreamBrokenError
from maestro.llm.gateway import Gateway
from maestro.llm.keyring import Keyring
from maestro.llm.model import Chunk, Message, ModelRequest, ProviderCall, ProviderError
from maestro.llm.opening import provider_of
from maestro.llm.providers.openai_compatible import OpenAICompatible
from tests.integration.llm_gateways import WHO, catalogue_file, gateway
from tests.integration.model_server import ModelServer, model_server

pytestmark = pytest.mark.anyio
RUN = Scope("run", "run-1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


def request(target: str = "echo", text: str = "hello", **more: Any) -> ModelRequest:
    return ModelRequest([Message("user", text)], target=target, **{"max_output_tokens": 100, "timeout": 20.0, **more})


async def worst(made: Gateway, asked: ModelRequest) -> int:
    decision = await made.decide(asked, WHO)
    return next(one.worst_nano or 0 for one in decision.candidates if one.model == decision.chosen)


def used(made: Gateway, scope: Scope = RUN) -> tuple[int, int]:
    balance = made.ledger.ledger.balance(scope, Unit.USD)
    return balance.spent, balance.reserved


async def watch(made: Gateway, limit: int, done: asyncio.Event) -> int:
    """The most that was ever spent and set aside at once."""
    most = 0
    while not done.is_set():
        spent, reserved = await asyncio.to_thread(used, made)
        most = max(most, spent + reserved)
        assert spent + reserved <= limit
    return most


async def test_fifty_callers_and_a_budget_for_about_half_of_them(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"slow/0.3": {}}) as made:
        asked = request("slow/0.3")
        limit = 25 * await worst(made, asked)
        limits = {RUN: {Unit.USD: limit}}
        done = asyncio.Event()
        watching = asyncio.create_task(watch(made, limit, done))
        outcomes = await asyncio.gather(
            *(made.ask(asked, WHO, limits=limits) for _ in range(50)), return_exceptions=True
        )
        await made.settled()
        done.set()
        assert await watching <= limit
        kinds = Counter(type(one).__name__ for one in outcomes)
        assert kinds == {"Answer": 25, "BudgetExceededError": 25}
        refused = next(one for one in outcomes if isinstance(one, BudgetExceededError))
        assert "the budget of run:run-1 is $" in str(refused)
        assert "raise `budget.run` in maestro.yaml" in str(refused)
        answers = sum(one.cost_nano for one in outcomes if not isinstance(one, BaseException))
        assert used(made) == (answers, 0)


async def test_what_is_settled_is_written_with_the_next_reservation_and_soon_anyway(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.llm.bookkeeper.TOGETHER_SECONDS", 3600.0)
    async with gateway(tmp_path, server.url, {"echo": {}}) as made:
        committer = made.ledger.ledger.committer
        first = await made.ask(request(), WHO)
        assert used(made)[0] == 0
        before = committer.batches
        second = await made.ask(request(text="again"), WHO)
        assert committer.batches == before + 1
        assert used(made)[0] == first.cost_nano
        await made.settled()
        assert used(made) == (first.cost_nano + second.cost_nano, 0)
        kept = [one.outcome for one in made.decisions.list()]
        assert [one and one.cost_nano for one in kept] == [second.cost_nano, first.cost_nano]
    monkeypatch.undo()
    (tmp_path / "other").mkdir()
    async with gateway(tmp_path / "other", server.url, {"echo": {}}) as made:
        answer = await made.ask(request(), WHO)
        async with asyncio.timeout(20):
            while used(made) != (answer.cost_nano, 0):
                await asyncio.sleep(0.005)


async def test_the_budget_holds_when_calls_end_in_every_way_at_once(server: ModelServer, tmp_path: Path) -> None:
    ways = ["echo", "truncated", "status/500", "close", "hang", "cut", "retry-after/0.01", "html", "headers", "endless"]
    models = {name: {"timeout": 0.3} for name in ways}
    async with gateway(tmp_path, server.url, models) as made:
        limit = 30 * await worst(made, request())
        limits = {RUN: {Unit.USD: limit}}
        done = asyncio.Event()
        watching = asyncio.create_task(watch(made, limit, done))

        async def one(number: int) -> str:
            asked = request(ways[number % len(ways)], fallback=("echo",) if number % 3 else ())
            try:
                if number % 2:
                    await made.ask(asked, WHO, limits=limits)
                else:
                    async with await made.stream(asked, WHO, limits=limits) as stream:
                        async for _piece in stream:
                            if number % 4 == 0:
                                break
            except (BudgetExceededError, NoAnswerError, StreamBrokenError) as error:
                return type(error).__name__
            return "ok"

        tasks = [asyncio.create_task(one(number)) for number in range(60)]
        for task in tasks[::7]:
            asyncio.get_running_loop().call_later(0.05, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        await made.settled()
        done.set()
        assert 0 < await watching <= limit
        assert used(made)[1] == 0


async def test_a_call_that_does_not_fit_goes_to_a_cheaper_candidate(server: ModelServer, tmp_path: Path) -> None:
    models: dict[str, dict[str, Any]] = {
        "dear": {"wire_model": "echo", "price": {"input": 100.0, "output": 200.0}},
        "modest": {"wire_model": "echo"},
    }
    async with gateway(tmp_path, server.url, models) as made:
        limits = {RUN: {Unit.USD: 10_000_000}}
        answer = await made.ask(request("dear", fallback=("modest",)), WHO, limits=limits)
        assert answer.model == "modest"


async def test_at_80_95_and_100_per_cent_somebody_is_told_once(server: ModelServer, tmp_path: Path) -> None:
    events: list[Crossing] = []
    async with gateway(tmp_path, server.url, {"echo": {}}, events=events) as made:
        most = await worst(made, request())
        made.ledger.ledger.set_limit(RUN, Unit.USD, most, actor="ada", reason="a test")
        await made.ask(request(), WHO)
        await made.settled()
        with pytest.raises(BudgetExceededError, match=r"ask whoever may run `maestro budget set run:run-1"):
            await made.ask(request(), WHO)
        assert Counter(event.level for event in events) == {80: 1, 95: 1, 100: 1}


async def test_over_80_per_cent_the_cheaper_candidate_of_the_route_answers(server: ModelServer, tmp_path: Path) -> None:
    models = {
        "good": {"wire_model": "echo", "quality": 0.9, "price": {"input": 10.0, "output": 20.0}},
        "modest": {"wire_model": "echo", "quality": 0.4},
    }
    routes = {"review": {"candidates": ["good", "modest"], "objective": "quality"}}
    async with gateway(tmp_path, server.url, models, routes=routes) as made:
        first = await made.ask(request("review", "x" * 4000), WHO)
        await made.settled()
        spent, _reserved = used(made)
        made.ledger.ledger.set_limit(RUN, Unit.USD, int(spent / 0.81), actor="ada", reason="a test")
        made.situation.forget_balances()
        second = await made.ask(request("review", max_output_tokens=1), WHO)
        assert (first.model, second.model) == ("good", "modest")
        await made.settled()
        assert made.decisions.get(second.decision).decision.downshift == ("run:run-1",)


async def test_a_price_that_changes_in_the_middle_of_a_call_changes_nothing(
    server: ModelServer, tmp_path: Path
) -> None:
    async with gateway(tmp_path, server.url, {"slow/0.2": {}}) as made:
        asking = asyncio.create_task(made.ask(request("slow/0.2", "a" * 40), WHO))
        while not made.ledger.ledger.reservations():
            await asyncio.sleep(0.005)
        (held,) = made.ledger.ledger.reservations()
        dearer = catalogue_file(tmp_path, server.url, {"slow/0.2": {"price": {"input": 900.0, "output": 900.0}}})
        made.catalogue = load_catalogue([dearer])
        answer = await asking
        await made.settled()
        assert answer.cost_nano == 11 * 1000 + 11 * 2000
        assert answer.cost_nano <= held.amounts[Unit.USD]
        assert used(made) == (answer.cost_nano, 0)


async def test_the_tries_of_one_request_together_cost_no_more_than_it_may(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"status/502": {}, "status/504": {}, "echo": {}}) as made:
        asked = request("status/502", fallback=("status/504", "echo"))
        most = await worst(made, asked)
        with pytest.raises(NoAnswerError, match="one request may cost"):
            await made.ask(replace(asked, max_nano=2 * most), WHO)
        await made.settled()
        assert used(made) == (2 * most, 0)
        # Without a limit the next candidate answers.
        answer = await made.ask(asked, WHO)
        assert answer.model == "echo"


async def test_what_a_route_lets_a_request_cost_holds_for_all_its_tries(server: ModelServer, tmp_path: Path) -> None:
    models: dict[str, dict[str, Any]] = {"status/502": {"quality": 0.9}, "echo": {}}
    routes = {"dear": {"candidates": list(models), "max_usd": 0.0006}}
    async with gateway(tmp_path, server.url, models, routes=routes) as made:
        with pytest.raises(NoAnswerError, match="tries before may have cost"):
            await made.ask(request("dear"), WHO)
        await made.settled()
        assert 0 < used(made)[0] <= 600_000


async def test_a_count_at_the_beginning_of_a_stream_is_not_what_it_cost(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"early-usage": {}, "early-usage/3": {}, "echo": {}}) as made:
        async with await made.stream(request("early-usage", "word " * 15), WHO) as stream:
            [_ async for _ in stream]
        await made.settled()
        assert stream.answer is not None
        assert stream.answer.usage.estimated
        whole = used(made)[0]
        assert whole >= 75 * 2000
        with pytest.raises(StreamBrokenError):
            async with await made.stream(request("early-usage/3", "word " * 15), WHO) as stream:
                [_ async for _ in stream]
        async with await made.stream(request("early-usage", "word " * 15), WHO) as stream:
            [await anext(stream) for _ in range(3)]
        await made.settled()
        assert used(made)[0] >= whole + 2 * 100 * 2000


async def test_a_reservation_holds_for_longer_than_its_call_may_take(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"status/503": {}, "count/9": {}}) as made:
        asked = request("status/503", fallback=("count/9",), timeout=1000.0)
        began = datetime.now(UTC)
        async with await made.stream(asked, WHO):
            (held,) = made.ledger.ledger.reservations()
            assert held.expires > began + timedelta(seconds=asked.timeout)


async def test_a_stream_that_is_read_after_its_lease_is_over_costs_what_it_cost(
    server: ModelServer, tmp_path: Path
) -> None:
    async with gateway(tmp_path, server.url, {"count/9": {}}) as made:
        async with await made.stream(request("count/9"), WHO) as stream:
            await anext(stream)
            (lost,) = made.ledger.ledger.expire(datetime.now(UTC) + timedelta(days=1))
            assert lost.state == "assumed"
            [_ async for _ in stream]
        await made.settled()
        assert stream.answer is not None
        assert used(made) == (stream.answer.cost_nano, 0)
        assert made.ledger.ledger.check() == []


class Overloaded(OpenAICompatible):
    """Refuses in the middle of its answer, as if nothing had reached it."""

    async def stream(self, call: ProviderCall) -> AsyncIterator[Chunk]:
        yield Chunk({"content": "word " * 10})
        raise ProviderError("overloaded", kind="unavailable", sent=False)


async def test_what_came_before_a_refusal_in_the_middle_is_charged(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}) as made:
        made._make_provider = lambda model: Overloaded(model.provider)
        with pytest.raises(StreamBrokenError, match="overloaded"):
            async with await made.stream(request(), WHO) as stream:
                [_ async for _ in stream]
        await made.settled()
        assert used(made)[0] > 50 * 2000


async def test_what_a_refusal_says_was_used_is_charged(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"counted-500": {}}) as made:
        with pytest.raises(NoAnswerError):
            await made.ask(request("counted-500"), WHO)
        await made.settled()
        assert used(made) == (3 * (3 * 1000 + 4 * 2000), 0)


async def test_more_than_was_reserved_is_charged_and_told(server: ModelServer, tmp_path: Path) -> None:
    events: list[Crossing] = []
    async with gateway(tmp_path, server.url, {"count/90": {}}, events=events) as made:
        answer = await made.ask(request("count/90", max_output_tokens=10), WHO)
        await made.settled()
        assert answer.usage.output_tokens == 113
        assert used(made) == (answer.cost_nano, 0)
        assert any(event.overdraft for event in events)


@pytest.mark.parametrize(
    ("behaviour", "claimed"),
    [
        ("made-up-usage", {"input_tokens": 10**9, "output_tokens": 10**9}),
        ("huge-usage", {"input_tokens": 3, "output_tokens": 10**18}),
    ],
)
async def test_a_count_that_cannot_be_true_is_charged_at_the_worst_case_and_told(
    server: ModelServer, tmp_path: Path, behaviour: str, claimed: dict[str, int]
) -> None:
    events: list[Crossing] = []
    async with gateway(tmp_path, server.url, {behaviour: {}}, events=events) as made:
        asked = request(behaviour, max_output_tokens=64)
        answer = await made.ask(asked, WHO)
        await made.settled()
        assert (answer.cost_nano, answer.usage.output_tokens) == (await worst(made, asked), 64)
        assert used(made) == (answer.cost_nano, 0)
        assert {(one.overdraft, one.limit) for one in events if one.unit is Unit.USD and one.overdraft} == {
            (f"{answer.decision}.1", answer.cost_nano)
        }
        assert {json.dumps(one.facts["implausible_usage"]) for one in made.ledger.ledger.charges()} == {
            json.dumps(claimed)
        }


async def test_an_answer_without_a_count_is_charged_for_each_of_its_bytes_once(
    server: ModelServer, tmp_path: Path
) -> None:
    async with gateway(tmp_path, server.url, {"no-usage": {}}) as made:
        answer = await made.ask(request("no-usage"), WHO)
        assert (answer.usage.output_tokens, answer.usage.estimated) == (len(answer.text), True)


async def test_a_model_of_unknown_price_is_not_asked(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {"price": None}}) as made:
        decision = await made.decide(request(), WHO)
        assert decision.chosen is None
        assert "price_unknown" in dict(decision.candidates[0].skipped)


async def test_tokens_are_a_budget_too(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {"price": "free"}}) as made:
        made.ledger.ledger.set_limit(RUN, Unit.TOKENS, 10, actor="ada", reason="a test")
        with pytest.raises(BudgetExceededError, match="10 tokens"):
            await made.ask(request(), WHO)


async def test_two_gateways_on_one_ledger_share_its_budget(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"slow/0.2": {}}) as made:
        other_ledger = AsyncLedger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
        other = Gateway(
            made.catalogue,
            other_ledger,
            DecisionStore(other_ledger.ledger.engine),
            provider_of,
            keyring=Keyring(made.catalogue.keys, {"TEST_KEY": "a-key-of-the-tests"}),
        )
        asked = request("slow/0.2")
        limits = {RUN: {Unit.USD: 10 * await worst(made, asked)}}
        outcomes = await asyncio.gather(
            *((made, other)[number % 2].ask(asked, WHO, limits=limits) for number in range(30)), return_exceptions=True
        )
        await other.close()
        other_ledger.close()
        assert Counter(isinstance(one, BudgetExceededError) for one in outcomes) == {False: 10, True: 20}


async def test_charges_are_put_down_to_everybody_they_belong_to(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}) as made:
        answer = await made.ask(request(), replace(WHO, step="triage"))
        await made.settled()
        (charge,) = made.ledger.ledger.charges(unit="usd")
        assert charge.attribution == Attribution("acme", "app", 7, "run-1", "triage")
        assert (charge.model, charge.provider, charge.decision) == ("echo", "local", answer.decision)
