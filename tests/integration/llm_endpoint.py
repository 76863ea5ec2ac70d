"""The OpenAI-compatible endpoint on a loopback port, before a model server that misbehaves when told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from maestro.gateway.connection import Connection
from maestro.gateway.llm_app import alone, opening
from maestro.ledger.model import Scope, Unit
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.llm.decisions import DecisionStore, Kept
from maestro.llm.endpoint_tokens import FILE, Token, TokenFile, make_token
from tests.integration.model_server import ModelServer
from tests.loopback import serving_asgi

PRICE = {"input": 1000, "output": 2000}
"""Dollars per million tokens, so that a few words cost cents."""
WIRE_MODELS = {
    "echo": "echo",
    "seven-words": "count/7",
    "many-words": "count/2000",
    "tool-caller": "tools",
    "dripping": "drip",
    "hanging": "hang",
    "broken": "status/500",
    "busy": "status/429",
    "garbage": "html",
    "half": "half/3",
    "error-in-stream": "error-in-stream/2",
    "stuck": "stuck/2",
    "waits": "slow/30",
}


@dataclass
class LlmEndpoint:
    """A running endpoint, and what it has written down."""

    home: Path
    tokens: TokenFile
    port: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, name: str = "editor", **more: Any) -> tuple[str, Token]:
        """A new token of project ``shop``: what is shown once, and what is kept."""
        now = datetime.now(UTC)
        written, kept = make_token(name=name, tenant="acme", project="shop", by="ann", now=now, **more)
        self.tokens.add(kept)
        return written, kept

    def client(self, key: str, **more: Any) -> OpenAI:
        """OpenAI's own client; it does not try again, so that a test sees what came."""
        return OpenAI(api_key=key, base_url=f"{self.url}/v1", **{"max_retries": 0, "timeout": 30, **more})

    def post(self, key: str, body: dict[str, Any] | bytes, **headers: str) -> httpx.Response:
        """A request as it stands."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {key}", "content-type": "application/json", **headers}
        return httpx.post(f"{self.url}/v1/chat/completions", content=content, headers=sent, timeout=30)

    def ledger(self) -> Ledger:
        return Ledger.open(ledger_url(self.home, {}))

    def spent(self) -> int:
        """Nanodollars, settled; what is reserved must be settled or released by then."""
        with self.ledger() as ledger:
            balance = ledger.balance(Scope("project", "acme/shop"), Unit.USD)
            assert ledger.check() == []
            return balance.spent

    def until_settled(self) -> None:
        """Waits until nothing is set aside any more."""
        waited = threading.Event()
        with self.ledger() as ledger:
            for _ in range(1000):
                if not ledger.reservations() and list(ledger.charges()):
                    return
                waited.wait(0.01)
        raise AssertionError("something stays reserved")

    def kept(self, id: str) -> Kept:
        """The decision."""
        with self.ledger() as ledger:
            return DecisionStore(ledger.engine).get(id)


def write_catalogue(workspace: Path, models: ModelServer) -> None:
    """A ``models.yaml`` with a model for each behaviour."""
    made = {
        name: {
            "provider": "test",
            "wire_model": wire,
            "capabilities": ["chat", "parrot"],
            "price": PRICE,
            "quality": 0.5,
        }
        for name, wire in WIRE_MODELS.items()
    }
    made["small"] = {**made["echo"], "context": 200, "max_output": 50}
    made["keyless"] = {**made["echo"], "key": "env:NO_SUCH_KEY_FOR_TESTS"}
    content = {
        "providers": {"test": {"kind": "openai", "api_base": models.url, "region": "local"}},
        "models": made,
        "routes": {"good": {"candidates": ["broken", "echo"], "objective": "pinned"}},
    }
    (workspace / "models.yaml").write_text(json.dumps(content), encoding="utf-8")


@contextmanager
def llm_endpoint(folder: Path, models: ModelServer) -> Iterator[LlmEndpoint]:
    """A running endpoint, gone and settled when the block ends."""
    home = folder / ".maestro"
    home.mkdir(parents=True)
    write_catalogue(folder, models)
    state = LlmEndpoint(home, TokenFile(home / FILE))
    app = alone(state.tokens, opening(home, {}, folder), lambda **line: state.lines.append(line))
    settings = {"http": Connection, "lifespan": "on", "timeout_graceful_shutdown": 1}
    with serving_asgi(app, abruptly=False, **settings) as state.port:
        yield state
