"""A gateway on a real ledger, in front of the model server of the tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from maestro.artifacts.store import ArtifactStore
from maestro.ledger.model import Attribution
from maestro.llm.catalogue import load_catalogue
from maestro.llm.gateway import Gateway
from maestro.llm.opening import open_gateway
from maestro.llm.retries import Retries
from maestro.secrets import Masker

KEY = "sk-" + "a-key-of-the-tests-0123456789"
WHO = Attribution("acme", "app", pull_request=7, run="run-1", step="review")
PRICE = {"input": 1.0, "output": 2.0}


def catalogue_file(
    folder: Path,
    url: str,
    models: Mapping[str, Mapping[str, Any]],
    more_providers: Mapping[str, Mapping[str, Any]] | None = None,
    **more: Any,
) -> Path:
    """A models.yaml whose models are at ``url``; a model's name says how the server behaves unless it says so itself."""
    entries = {
        name: {
            "provider": "local",
            "wire_model": name,
            "price": PRICE,
            "context": 100_000,
            "max_output": 1000,
            **fields,
        }
        for name, fields in models.items()
    }
    body = {
        "providers": {
            "local": {"kind": "openai", "api_base": url, "key": "env:TEST_KEY", "region": "local"},
            **(more_providers or {}),
        },
        "models": entries,
        **more,
    }
    file = folder / "models.yaml"
    file.write_text(json.dumps(body))
    return file


@asynccontextmanager
async def gateway(
    folder: Path,
    url: str,
    models: Mapping[str, Mapping[str, Any]],
    *,
    store: bool = False,
    masker: Masker | None = None,
    prepare: Callable[[Gateway], object] = lambda _gateway: None,
    environ: Mapping[str, str] | None = None,
    events: list[Any] | None = None,
    **more: Any,
) -> AsyncIterator[Gateway]:
    """A gateway that was closed, and whose ledger is balanced with nothing left open, when the block ends."""
    catalogue = load_catalogue([catalogue_file(folder, url, models, **more)])
    made = open_gateway(
        home=folder,
        environ={"TEST_KEY": KEY} if environ is None else environ,
        catalogue=catalogue,
        store=ArtifactStore.open(str(folder / "artifacts")) if store else None,
        masker=masker,
        on_event=None if events is None else events.append,
    )
    made.retries = Retries(first=0.001, longest=0.5)
    prepare(made)
    try:
        yield made
        await made.settled()
        assert made.ledger.ledger.check() == []
        assert made.ledger.ledger.reservations() == []
    finally:
        await made.close()
        made.ledger.close()


__all__ = ["KEY", "WHO", "gateway"]
