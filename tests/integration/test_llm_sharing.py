"""What one gateway finds of a deployment counts in the others on the same database, SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from maestro.ledger.writer import AsyncLedger
from maestro.llm.breaker import Settings
from maestro.llm.catalogue import Catalogue, load_catalogue
from maestro.llm.decisions import DecisionStore
from maestro.llm.errors import NoAnswerError
from maestro.llm.explain import why_table
from maestro.llm.findings import Finding, FindingStore
from maestro.llm.gateway import Gateway
from maestro.llm.keyring import Keyring
from maestro.llm.model import Message, ModelRequest, NoModelError
from maestro.llm.opening import provider_of
from maestro.llm.retries import Retries
from maestro.server.database import open_engine
from tests.integration.llm_gateways import KEY, WHO, catalogue_file
from tests.integration.model_server import ModelServer, model_server

pytestmark = pytest.mark.anyio
NOBODY = "http://127.0.0.1:9/v1"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_database"))
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def catalogue(tmp_path: Path, server: ModelServer) -> Catalogue:
    """``moved`` has an endpoint that tests take away; the other models' endpoint answers."""
    models: dict[str, dict[str, Any]] = {"moved": {"wire_model": "echo"}, "echo": {}, "status/500": {}}
    return load_catalogue([catalogue_file(tmp_path, server.url, models)])


def at(catalogue: Catalogue, name: str, api_base: str) -> Catalogue:
    moved = dataclasses.replace(catalogue.models[name], api_base=api_base)
    return dataclasses.replace(catalogue, models={**catalogue.models, name: moved})


def opened(url: str, catalogue: Catalogue, key: str = KEY) -> Gateway:
    ledger = AsyncLedger.open(url)
    made = Gateway(
        catalogue,
        ledger,
        DecisionStore(ledger.ledger.engine),
        provider_of,
        keyring=Keyring(catalogue.keys, {"TEST_KEY": key}),
        retries=Retries(first=0.001, longest=0.5),
        on_close=ledger.close,
    )
    made.breakers.settings = Settings(failures=2, wait=60)
    return made


def request(target: str, *fallback: str) -> ModelRequest:
    return ModelRequest([Message("user", "hello")], target=target, fallback=fallback, max_output_tokens=50, timeout=20)


def reasons(error: NoModelError) -> list[tuple[str, str]]:
    assert error.decision is not None
    return [(code, said) for one in error.decision.candidates for code, said in one.skipped]


async def skipped(made: Gateway, target: str) -> list[str]:
    found = await made.decide(request(target), WHO)
    return [code for one in found.candidates if one.model == target for code, _ in one.skipped]


async def test_what_one_finds_down_the_other_skips_and_says_why(url: str, catalogue: Catalogue) -> None:
    down = at(catalogue, "moved", NOBODY)
    async with opened(url, down) as one:
        assert "does not answer" in str((await one.health(["moved"]))["moved"])
    async with opened(url, down) as other:
        with pytest.raises(NoModelError) as refused:
            await other.ask(request("moved"), WHO)
        [(code, said)] = reasons(refused.value)
        assert code == "unhealthy"
        assert said.startswith("its endpoint cannot be used right now: local at 127.0.0.1:9 does not answer")
        assert "`maestro llm health` finds it well" in said
        await other.settled()
        assert refused.value.decision is not None
        kept = other.decisions.get(refused.value.decision.id)
        [row] = why_table(kept.decision, kept.outcome)
        assert (row.verdict, row.because) == ("unhealthy", said)
        answer = await other.ask(request("moved", "echo"), WHO)
        assert answer.model == "echo"


async def test_a_look_that_finds_it_well_counts_for_both(url: str, catalogue: Catalogue, server: ModelServer) -> None:
    async with opened(url, catalogue) as one, opened(url, catalogue) as other:
        one.sharing.found({"moved": "it is down"})
        await one.sharing.written()
        await other.sharing.listen_now()
        assert await skipped(other, "moved") == ["unhealthy"]
        assert await other.health(["moved"]) == {"moved": None}
        await other.sharing.written()
        await one.sharing.listen_now()
        assert [await skipped(made, "moved") for made in (one, other)] == [[], []]


async def test_a_call_that_began_later_and_succeeds_takes_the_finding_away(url: str, catalogue: Catalogue) -> None:
    async with opened(url, catalogue) as one, opened(url, catalogue) as other:
        await one.sharing.listen_now()
        decided = await one.decide(request("moved"), WHO)
        assert decided.chosen == "moved"
        one.sharing.found({"moved": "it is down"})
        one.sharing.answered("moved", began=0.0)
        assert await skipped(one, "moved") == ["unhealthy"]
        one.sharing.answered("moved", began=float("inf"))
        await one.sharing.written()
        await other.sharing.listen_now()
        assert [await skipped(made, "moved") for made in (one, other)] == [[], []]


async def test_a_breaker_that_opens_in_one_is_open_in_the_other_and_closes_in_both(
    url: str, catalogue: Catalogue, server: ModelServer
) -> None:
    async with opened(url, catalogue) as one, opened(url, catalogue) as other:
        with pytest.raises(NoAnswerError):
            await one.ask(request("status/500"), WHO)
        await one.sharing.written()
        await one.sharing.listen_now()
        await other.sharing.listen_now()
        calls = len(server.calls)
        with pytest.raises(NoModelError) as refused:
            await other.ask(request("status/500"), WHO)
        [(code, said)] = reasons(refused.value)
        assert code == "breaker_open"
        assert said.startswith("it failed 2 times in a row (last: unavailable: local at 127.0.0.1")
        assert len(server.calls) == calls
        assert "it failed 2 times in a row" in str((await other.health(["status/500"]))["status/500"])
        # The time is over, and the server is well again.
        clock = other.breakers.clock
        other.breakers.clock = lambda: clock() + 61
        assert other.breakers.admits("status/500")
        other.breakers.answered("status/500")
        await other.sharing.written()
        await one.sharing.listen_now()
        assert [made.breakers.phase("status/500") for made in (one, other)] == ["closed", "closed"]
        assert FindingStore(one.decisions.engine).current() == ()


async def test_a_key_that_is_refused_is_told_and_counts_for_that_key_only(
    url: str, catalogue: Catalogue, server: ModelServer
) -> None:
    async with opened(url, catalogue) as one:
        one.sharing.found({"moved": "local refuses the key (401)"})
    async with opened(url, catalogue, "another-key-of-the-tests") as other, opened(url, catalogue) as same:
        assert await skipped(other, "moved") == []
        assert await skipped(same, "moved") == ["unhealthy"]


async def test_calls_go_on_without_the_table(url: str, catalogue: Catalogue) -> None:
    async with opened(url, catalogue) as made:
        with made.decisions.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE maestro_llm_findings"))
        with suppress(NoAnswerError):
            await made.ask(request("status/500"), WHO)
        assert (await made.ask(request("echo"), WHO)).model == "echo"
        assert await made.health(["echo"]) == {"echo": None}


async def test_a_finding_counts_until_its_time_is_over_and_is_removed_then(url: str) -> None:
    engine = open_engine(url)
    decisions, store = DecisionStore(engine), FindingStore(engine)
    store.put(Finding("gone@1", "health", "a", "it was down", seconds=-1, kept=-1))
    store.put(Finding("there@1", "breaker", "b", "it failed", seconds=-1, kept=60))
    [left] = store.current()
    assert (left.deployment, left.reason, left.seconds <= -1, 0 < left.kept <= 60) == (
        "there@1",
        "it failed",
        True,
        True,
    )
    assert (decisions.prune_findings(), decisions.prune_findings()) == (1, 0)
    engine.dispose()


async def test_the_longer_of_two_openings_stays_and_of_two_looks_the_last(url: str) -> None:
    engine = open_engine(url)
    DecisionStore(engine)
    store = FindingStore(engine)
    for id, seconds in (("long", 100.0), ("short", 10.0)):
        store.put(Finding("a@1", "breaker", id, "it failed", seconds, 2 * seconds, failures=5, opened=1))
        store.put(Finding("a@1", "health", id, "it is down", seconds, seconds))
    assert {one.kind: one.id for one in store.current()} == {"breaker": "long", "health": "short"}
    store.remove(["long", "short"])
    assert store.current() == ()
    engine.dispose()
