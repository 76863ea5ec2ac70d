"""Opening the gateway: who answers for which kind, whose database, and what is told when it cannot be opened."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.ledger.model import Attribution
from maestro.llm.catalogue import Model
from maestro.llm.model import Message, ModelRequest
from maestro.llm.opening import catalogue_for, open_gateway, provider_of

MODEL = Model("m", "somebody", "openai", "wire-m")


@pytest.mark.parametrize("kind", ["openai", "offline", "ollama", "litellm"])
def test_every_kind_of_provider_has_somebody_who_speaks_to_it(kind: Any) -> None:
    provider = provider_of(replace(MODEL, kind=kind))
    for name in ("complete", "stream", "healthy", "close"):
        assert callable(getattr(provider, name))


def test_a_kind_nobody_knows_is_told() -> None:
    with pytest.raises(InputError, match="provider of the kind 'telepathy'"):
        provider_of(replace(MODEL, kind="telepathy"))  # type: ignore[arg-type]  # There is none.


def test_a_checkout_without_models_has_those_maestro_knows(tmp_path: Path) -> None:
    assert "offline" in catalogue_for(tmp_path, {}).models


def test_a_wrong_models_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text("models:\n  echo: {privider: local}\n")
    with pytest.raises(InputError, match=r"models\.yaml:2:"):
        open_gateway(home=tmp_path, environ={}, workspace=tmp_path)


def test_without_any_key_the_offline_provider_answers_and_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_gateway(home=tmp_path, environ={}) as gateway:
            request = ModelRequest([Message("user", "Summarise: the build broke. The tests failed. Nobody knows why.")])
            answer = await gateway.ask(request, Attribution("acme", "app"))
            assert answer.offline
            assert answer.text.startswith("[offline]")
            assert answer.cost_nano == 0
            await gateway.settled()
            assert gateway.ledger.ledger.check() == []

    asyncio.run(scenario())
    assert (tmp_path / "ledger.db").exists()
