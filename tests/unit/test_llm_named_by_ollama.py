"""Models that only Ollama's own name is known of."""

from __future__ import annotations

import dataclasses

import pytest

from maestro.llm.catalogue import LOCAL, Catalogue, load_catalogue
from maestro.llm.named_by_ollama import with_ollama_models
from maestro.llm.prices import FREE


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return load_catalogue()


def test_an_unknown_name_becomes_a_free_model_of_this_machines_ollama(known: Catalogue) -> None:
    made = with_ollama_models(known, ["somebody/tuned:4b"]).models["somebody/tuned:4b"]
    assert (made.provider, made.kind, made.wire_model, made.region) == ("ollama", "ollama", "somebody/tuned:4b", LOCAL)
    assert made.price is FREE
    assert "chat" in made.capabilities
    assert "somebody/tuned:4b" not in known.models


def test_what_the_catalogue_says_of_a_model_stands(known: Catalogue) -> None:
    assert "qwen3:8b" in known.models
    assert with_ollama_models(known, ["qwen3:8b", "gpt-4o-mini"]) is known
    assert with_ollama_models(known, []) is known


def test_what_ollamas_own_service_runs_is_neither_free_nor_local(known: Catalogue) -> None:
    made = with_ollama_models(known, ["kimi-k2:cloud"]).models["kimi-k2:cloud"]
    assert made.price is None
    assert not made.local


def test_a_route_of_that_name_is_no_model(known: Catalogue) -> None:
    route = next(iter(known.routes))
    assert with_ollama_models(known, [route]) is known


def test_it_is_below_every_model_somebody_has_spoken_for(known: Catalogue) -> None:
    added = with_ollama_models(known, ["new:1b"])
    others = [one.quality for one in known.models.values() if not one.offline]
    assert added.models["new:1b"].quality <= min(others)


def test_the_digest_follows_the_names_and_not_their_order(known: Catalogue) -> None:
    one, other = with_ollama_models(known, ["a:1b", "b:1b"]), with_ollama_models(known, ["b:1b", "a:1b", "a:1b"])
    assert one.digest == other.digest
    assert len({one.digest, known.digest, with_ollama_models(known, ["a:1b"]).digest}) == 3


def test_where_the_catalogue_has_no_ollama_nothing_is_added(known: Catalogue) -> None:
    without = dataclasses.replace(
        known, providers={name: one for name, one in known.providers.items() if name != "ollama"}
    )
    assert with_ollama_models(without, ["new:1b"]) is without
