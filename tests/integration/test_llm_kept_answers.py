"""Answers that are given again: to other steps and other runs of the tenant, and to nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maestro.artifacts import ArtifactStore
from maestro.execution.errors import StepError
from maestro.ledger.model import Unit
from maestro.llm import answers as answers_module
from maestro.llm import bookkeeper, reuse
from maestro.llm.gateway import Gateway
from maestro.llm.model import Message, ModelRequest
from tests.integration.delivery import Delivery
from tests.integration.llm_gateways import KEY, WHO, catalogue_file, gateway
from tests.integration.model_server import ModelServer, model_server

WARM = {"temperature": 0.7}
OTHER_STEP = replace(WHO, run="run-2", step="triage")


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def server(running: ModelServer) -> ModelServer:
    running.calls.clear()
    running.seen.clear()
    return running


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    monkeypatch.setenv("TEST_KEY", KEY)
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root)
    made.git("init", "-q", "-b", "main")
    made.write({"a.py": "one = 1\n"})
    return made


def request(key: str = "", target: str = "echo", **more: Any) -> ModelRequest:
    given = {"max_output_tokens": 100, "timeout": 20.0, **more}
    return ModelRequest([Message("user", "the very same")], target=target, idempotency=key, **given)


@asynccontextmanager
async def asked_at(folder: Path, server: ModelServer, models: dict[str, Any]) -> AsyncIterator[Gateway]:
    def once(made: Gateway) -> None:
        made.retries = made.retries.__class__(tries=1)

    async with gateway(folder, server.url, models, store=True, prepare=once) as made:
        yield made


def two_steps(shop: Delivery, server: ModelServer, more: str = "") -> None:
    catalogue_file(shop.root, server.url, {"echo": {}})
    asks = f"run: llm.generate, with: {{ model: echo, text: the very same{more} }}"
    shop.workflow(
        "name: flow\nproject: shop\nstages:\n  - name: all\n    steps:\n"
        f"      - {{ id: one, {asks} }}\n      - {{ id: two, depends_on: [one], {asks} }}\n"
    )


def test_two_steps_of_a_run_that_ask_the_same_pay_once_and_the_second_says_so(
    shop: Delivery, server: ModelServer
) -> None:
    two_steps(shop, server)
    done = shop.run()
    assert done.passed, done.failures()
    one, two = done.records["all/one"], done.records["all/two"]
    assert len(server.calls) == 1
    assert one.cost_usd > 0
    assert (two.cost_usd, two.metadata["dollars"]) == (0.0, 0.0)
    assert (one.metadata["from the answer cache"], two.metadata["from the answer cache"]) == (False, True)
    assert two.values["answer"] == one.values["answer"] == "the very same"
    assert "$0.00" in two.summary and two.summary.endswith("from the cache of answers")


def test_another_run_is_answered_from_what_the_first_has_paid(shop: Delivery, server: ModelServer) -> None:
    two_steps(shop, server)
    shop.run("one", only=True)
    # Another revision, so that nothing comes from the step cache; and the other step.
    shop.write({"a.py": "one = 2\n"})
    done = shop.run("two")
    assert done.passed, done.failures()
    assert len(server.calls) == 1
    assert all(record.cost_usd == 0.0 for record in done.records.values())


def test_what_may_be_answered_otherwise_is_asked_by_each_step(shop: Delivery, server: ModelServer) -> None:
    two_steps(shop, server, ", temperature: 0.7")
    done = shop.run()
    assert done.passed, done.failures()
    assert len(server.calls) == 2
    assert [one.metadata["from the answer cache"] for one in done.records.values()] == [False, False]


def test_a_run_of_somebody_elses_fork_neither_gets_a_kept_answer_nor_leaves_one(
    shop: Delivery, server: ModelServer
) -> None:
    two_steps(shop, server)
    assert shop.run("one", only=True).passed
    kept = answers(shop.store())
    with shop.session() as session:
        session.request = replace(session.request, untrusted=True)
        with pytest.raises(StepError, match=r"a run of somebody else's fork asks none"):
            session.models_of("all/two")
        assert session.plan_context("all/two").find_models() is None
    assert answers(shop.store()) == kept
    assert len(server.calls) == 1


def answers(store: ArtifactStore) -> set[str]:
    return {one.key for one in store.objects.under("llm/answers")}


def test_the_same_request_of_another_step_and_run_is_answered_for_nothing(server: ModelServer, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asked_at(tmp_path, server, {"echo": {}}) as made:
            first = await made.ask(request("run-1/review"), WHO)
            second = await made.ask(request("run-2/triage"), OTHER_STEP)
            await made.settled()
            assert (first.cached, second.cached, second.cost_nano, second.text) == (False, True, 0, first.text)
            assert sum(one.amount for one in made.ledger.ledger.charges(unit=str(Unit.USD))) == first.cost_nano
        assert len(server.calls) == 1

    asyncio.run(scenario())


def test_another_tenant_asks_and_pays_itself(server: ModelServer, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asked_at(tmp_path, server, {"echo": {}}) as made:
            await made.ask(request("k"), WHO)
            other = await made.ask(request("k"), replace(WHO, tenant="globex"))
            assert not other.cached and other.cost_nano > 0
        assert len(server.calls) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("more", [WARM, {"target": "tools"}], ids=["warm", "no-end-of-its-own"])
def test_what_others_do_not_get_a_step_that_crashed_finds_again(
    server: ModelServer, tmp_path: Path, more: dict[str, Any]
) -> None:
    async def scenario() -> None:
        models: dict[str, Any] = {"echo": {}, "tools": {}}
        async with asked_at(tmp_path, server, models) as made:
            first = await made.ask(request("run-1/review", **more), WHO)
        async with asked_at(tmp_path, server, models) as made:
            again = await made.ask(request("run-1/review", **more), WHO)
            other = await made.ask(request("run-1/triage", **more), WHO)
        assert (again.cached, again.cost_nano, again.text) == (True, 0, first.text)
        assert not other.cached

    asyncio.run(scenario())


@pytest.mark.parametrize("more", [{}, WARM], ids=["cold", "warm"])
def test_a_step_that_crashed_finds_the_answer_of_its_fallback_under_its_name(
    server: ModelServer, tmp_path: Path, more: dict[str, Any]
) -> None:
    async def scenario() -> None:
        models: dict[str, Any] = {"status/500": {}, "echo": {}}
        asked = request("run-1/review", "status/500", fallback=("echo",), **more)
        for cached in (False, True):
            async with asked_at(tmp_path, server, models) as made:
                answer = await made.ask(asked, WHO)
                assert (answer.model, answer.cached) == ("echo", cached)
        assert [one["model"] for one in server.calls] == ["status/500", "echo"]

    asyncio.run(scenario())


def test_an_answer_of_a_fallback_is_given_again_as_its_own_and_never_as_the_chosen_ones(
    server: ModelServer, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with asked_at(tmp_path, server, {"flaky/1": {}, "echo": {}}) as made:
            first = await made.ask(request("a", "flaky/1", fallback=("echo",)), WHO)
            # By now the chosen one works again: nobody has its answer yet.
            second = await made.ask(request("b", "flaky/1", fallback=("echo",)), OTHER_STEP)
            third = await made.ask(request("c"), OTHER_STEP)
        assert [(one.model, one.cached) for one in (first, second, third)] == [
            ("echo", False),
            ("flaky/1", False),
            ("echo", True),
        ]

    asyncio.run(scenario())


def test_a_chosen_model_that_is_down_costs_no_second_answer_of_its_fallback(
    server: ModelServer, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with asked_at(tmp_path, server, {"status/500": {}, "echo": {}}) as made:
            await made.ask(request("a", "status/500", fallback=("echo",)), WHO)
            again = await made.ask(request("b", "status/500", fallback=("echo",)), OTHER_STEP)
            await made.settled()
            outcome = made.decisions.get(again.decision).outcome
        assert (again.model, again.cached) == ("echo", True)
        assert [one.model for one in again.attempts] == ["status/500"]
        assert outcome is not None and (outcome.state, outcome.model) == ("cached", "echo")
        assert [one["model"] for one in server.calls] == ["status/500", "echo", "status/500"]

    asyncio.run(scenario())


def test_a_model_of_the_same_name_elsewhere_is_asked_itself(server: ModelServer, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asked_at(tmp_path, server, {"mine": {"wire_model": "echo"}}) as made:
            await made.ask(request("k", "mine"), WHO)
        async with asked_at(tmp_path, server, {"mine": {"wire_model": "count/7"}}) as made:
            assert not (await made.ask(request("k", "mine"), WHO)).cached

    asyncio.run(scenario())


class Store:
    """Objects in memory; what ``hangs`` waits until it is let go, and then fails.

    Args:
        together: writes that wait for each other.
    """

    def __init__(self, *hangs: str, together: int = 1) -> None:
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self.kept: dict[str, bytes] = {}
        self.let_go = threading.Event()
        self._hangs = hangs
        self._together = threading.Barrier(together)

    def read(self, key: str) -> Any:
        self._hang("read")
        return (self.kept[key], None) if key in self.kept else None

    def replace(self, key: str, data: bytes) -> None:
        self._hang("replace")
        self._together.wait(2)
        self.kept[key] = data

    def _hang(self, what: str) -> None:
        self.asked.append(what)
        if what in self._hangs:
            self.let_go.wait(15)
            self.given_up.append(what)
            raise OSError("the store hangs")


@asynccontextmanager
async def asked_with(store: Store, folder: Path, server: ModelServer, models: dict[str, Any]) -> AsyncIterator[Gateway]:
    async with asked_at(folder, server, models) as made:
        made._cache = answers_module.AnswerCache(SimpleNamespace(objects=store))  # type: ignore[arg-type]  # All it uses.
        try:
            yield made
        finally:
            store.let_go.set()


def test_a_store_that_hangs_is_asked_once_and_the_model_answers_in_time(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reuse, "STORE_SECONDS", 0.05)
    store = Store("read", "replace")

    async def scenario() -> None:
        async with asked_with(store, tmp_path, server, {"status/500": {}, "echo": {}}) as made:
            answer = await made.ask(request("k", "status/500", fallback=("echo",)), WHO)
            assert (answer.model, answer.cached, answer.text) == ("echo", False, "the very same")
            assert (store.asked, store.given_up) == (["read"], [])

    asyncio.run(scenario())


def test_a_store_that_hangs_uses_up_a_part_of_a_short_time(server: ModelServer, tmp_path: Path) -> None:
    store = Store("read")

    async def scenario() -> None:
        async with asked_with(store, tmp_path, server, {"echo": {}}) as made:
            assert not (await made.ask(request("k", timeout=2.0), WHO)).cached
            assert store.given_up == []

    asyncio.run(scenario())


def test_a_store_that_takes_no_answer_keeps_nobody_from_having_it(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers_module, "STORE_SECONDS", 0.05)
    store = Store("replace")

    async def scenario() -> None:
        async with asked_with(store, tmp_path, server, {"echo": {}}) as made:
            assert (await made.ask(request("k"), WHO)).text == "the very same"
            assert (store.asked.count("replace"), store.given_up) == (2, [])

    asyncio.run(scenario())


def test_what_is_kept_for_all_and_for_the_step_is_written_at_once(server: ModelServer, tmp_path: Path) -> None:
    store = Store(together=2)

    async def scenario() -> None:
        async with asked_with(store, tmp_path, server, {"echo": {}}) as made:
            await made.ask(request("k"), WHO)

    asyncio.run(scenario())
    assert len(store.kept) == 2


def test_a_kept_answer_is_given_although_its_outcome_takes_longer_than_the_request_has(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookkeeper, "RECORD_SECONDS", 10.0)
    locked = threading.Event()

    async def scenario() -> None:
        async with asked_at(tmp_path, server, {"echo": {}}) as made:
            await made.ask(request(), WHO)
            await made.settled()

            def keep(*given: Any) -> None:
                locked.wait(2.0)
                made.decisions.keep(*given)

            made.bookkeeper._decisions = SimpleNamespace(keep=keep)  # type: ignore[assignment]  # All that it uses.
            again = await made.ask(request(timeout=1.5), OTHER_STEP)
            await made.settled()
            outcome = made.decisions.get(again.decision).outcome
        assert again.cached
        assert outcome is not None and outcome.state == "cached"

    asyncio.run(scenario())
