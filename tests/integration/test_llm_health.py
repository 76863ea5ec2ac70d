"""A look at the health of models: what an endpoint answers is told as what it is, for every kind of provider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maestro.llm.blocking import BlockingGateway
from maestro.llm.catalogue import load_catalogue
from maestro.llm.opening import open_gateway
from tests.integration.llm_gateways import KEY
from tests.loopback import Handler, serving


@contextmanager
def answering(status: int) -> Iterator[str]:
    class Always(Handler):
        def do_GET(self) -> None:
            self.reply(status, b'{"error": "no"}', {"Content-Type": "application/json"})

    with serving(Always) as url:
        yield url


def health(folder: Path, url: str, kind: str) -> str | None:
    provider = {"kind": kind, "api_base": url, "key": "env:TEST_KEY"}
    provider |= {"litellm": "anthropic"} if kind == "litellm" else {}
    body = {"providers": {"there": provider}, "models": {"one": {"provider": "there", "price": "free"}}}
    file = folder / "models.yaml"
    file.write_text(json.dumps(body))
    catalogue = load_catalogue([file])
    with BlockingGateway(lambda: open_gateway(home=folder, environ={"TEST_KEY": KEY}, catalogue=catalogue)) as gateway:
        return gateway.health()["one"]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_a_key_that_is_refused_is_told(tmp_path: Path, kind: str, status: int) -> None:
    with answering(status) as url:
        assert f"refuses the key ({status})" in str(health(tmp_path, url, kind))


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("kind", ["openai", "ollama", "litellm"])
def test_an_error_of_the_server_is_told(tmp_path: Path, kind: str, status: int) -> None:
    with answering(status) as url:
        assert f"answers {status}" in str(health(tmp_path, url, kind))


@pytest.mark.parametrize("kind", ["openai", "ollama", "litellm"])
def test_an_endpoint_that_is_not_there_is_told(tmp_path: Path, kind: str) -> None:
    assert "does not answer" in str(health(tmp_path, "http://127.0.0.1:9", kind))


@pytest.mark.parametrize(("kind", "status"), [("openai", 200), ("openai", 404), ("litellm", 404), ("litellm", 401)])
def test_what_says_nothing_against_the_model_is_ok(tmp_path: Path, kind: str, status: int) -> None:
    with answering(status) as url:
        assert health(tmp_path, url, kind) is None
