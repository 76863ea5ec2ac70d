"""What a gateway looks at beside its own: only what the catalogue names, opened when it is first asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from maestro.ledger.store import Ledger
from maestro.llm.overrides import OverrideStore
from maestro.llm.situation import Sources
from maestro.llm.sources import sources_for
from maestro.llm.state import Override
from tests.unit.llm_world import HOME, catalogue, model

T = TypeVar("T")


def said(source: Callable[[], Awaitable[T]]) -> T:
    async def ask() -> T:
        return await source()

    return asyncio.run(ask())


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_without_lanes_and_policy_nobody_is_asked_about_them(ledger: Ledger) -> None:
    found = sources_for(catalogue(), ledger.engine, {})
    assert found.policy is None
    assert said(found.queues) == {}
    assert found.queues is Sources().queues


def test_a_model_whose_server_tells_its_queue_is_asked_and_one_that_is_away_is_left_out(ledger: Ledger) -> None:
    busy = model("busy", metrics="http://127.0.0.1:9/metrics")
    found = sources_for(catalogue(busy), ledger.engine, {})
    assert found.queues is not Sources().queues
    assert said(found.queues) == {}


def test_metrics_that_are_no_url_are_refused_when_the_gateway_opens(ledger: Ledger) -> None:
    with pytest.raises(Exception, match="is no http or https URL"):
        sources_for(catalogue(model("busy", metrics="nowhere")), ledger.engine, {})


def test_a_catalogue_without_ollama_asks_none(ledger: Ledger) -> None:
    found = said(sources_for(catalogue(model("big")), ledger.engine, {}).ollama)
    assert found.present == frozenset()


def test_ollama_that_does_not_answer_is_not_running(ledger: Ledger) -> None:
    sources = sources_for(catalogue(HOME), ledger.engine, {"OLLAMA_HOST": "127.0.0.1:9"}, pulls=True)
    found = said(sources.ollama)
    assert (found.running, found.pulls) == (False, True)


def test_without_the_library_of_ollama_it_is_not_running(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("maestro.llm.ollama")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ollama", None)
    found = said(sources_for(catalogue(HOME), ledger.engine, {}).ollama)
    assert not found.running


def test_overrides_are_read_anew_and_those_that_are_over_are_not_among_them(ledger: Ledger) -> None:
    sources = sources_for(catalogue(), ledger.engine, {})
    assert not said(sources.overrides)
    store, now = OverrideStore(ledger.engine), datetime.now(UTC)
    for id, expires in (("ovr_1", now + timedelta(hours=1)), ("ovr_2", now - timedelta(minutes=1))):
        created = now - timedelta(hours=2)
        store.put(Override(id, "all", "small", "test", "tenant:acme", "boss", created, expires), catalogue())
    assert [one.id for one in said(sources.overrides)] == ["ovr_1"]
