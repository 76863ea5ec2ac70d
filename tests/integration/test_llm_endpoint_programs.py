"""The OpenAI-compatible endpoint as programs: ``maestro llm serve``, and within the gateway of a server."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from maestro.ledger.model import Scope, Unit
from maestro.ledger.store import Ledger
from maestro.llm.endpoint_tokens import FILE, TokenFile, make_token
from maestro.llm.project_files import ProjectFiles
from maestro.server.database import open_engine
from tests.integration.gateway_server import PUSH, GatewayServer, gateway_server, github, make_home
from tests.unit.money_project import MoneyProject, money_project

HELLO = "One sentence is here. Another one is there."


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    return money_project(tmp_path / "shop")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayServer]:
    with gateway_server(make_home(tmp_path / "home"), tmp_path / "gateway.log") as server:
        yield server


def test_a_port_that_is_taken_is_said_with_the_option_that_chooses_another(shop: MoneyProject) -> None:
    shop.run("llm", "tokens", "add", "editor")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "maestro.cli",
            "--project",
            str(shop.root),
            "llm",
            "serve",
            "--port",
            f"{port}",
        ]
        served = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert served.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in served.stderr
    assert "stop what listens there, or choose another port with `--port`; 0 takes any that is free" in served.stderr


def test_one_machine_serves_its_models_on_loopback_and_settles_when_it_is_stopped(shop: MoneyProject) -> None:
    key = shop.run("llm", "tokens", "add", "editor").out.strip()
    command = [sys.executable, "-m", "maestro.cli", "--project", str(shop.root), "llm", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as served:
        try:
            assert served.stdout is not None
            url = served.stdout.readline().strip().removeprefix("OPENAI_BASE_URL=")
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", url)
            with OpenAI(api_key=key, base_url=url, max_retries=2) as client:
                content = [{"role": "user", "content": HELLO}]
                answer = client.chat.completions.create(model="plain", messages=content)  # type: ignore[arg-type]  # As clients write it.
            assert (answer.choices[0].message.content or "").startswith("[offline]")
            assert httpx.get(f"{url}/nothing").json()["error"]["code"] == "unknown_url"
        finally:
            served.terminate()
            _, errors = served.communicate(timeout=30)
    assert served.returncode == 0
    assert key not in errors
    with shop.ledger() as ledger:
        assert ledger.check() == []
        assert ledger.balance(Scope("project", "local/shop"), Unit.TOKENS).spent > 0
    assert "token:editor" in shop.run("llm", "decisions").out
    assert [one["data"]["count"] for one in shop.audited() if one["kind"] == "llm.decisions"] == [1]


def test_a_server_without_tokens_has_no_such_paths_and_has_imported_nothing_for_them(gateway: GatewayServer) -> None:
    assert gateway.client.get("/v1/models").status_code == 404
    assert gateway.client.post("/v1/chat/completions", json={}).status_code == 404
    assert gateway.process is not None
    loaded = Path(f"/proc/{gateway.process.pid}/maps").read_text()
    assert "tiktoken" not in loaded and "litellm" not in loaded


def test_the_first_token_makes_the_endpoint_appear_and_webhooks_are_taken_all_the_same(gateway: GatewayServer) -> None:
    assert gateway.client.get("/v1/models").status_code == 404
    now = datetime.now(UTC)
    key, kept = make_token(name="ci", tenant="default", project="shop", by="ann", now=now)
    TokenFile(gateway.home.folder / FILE).add(kept)
    # As the conductor does, which is not there.
    engine = open_engine(gateway.home.database_url)
    ProjectFiles(engine).keep("shop", "a" * 40, None)
    engine.dispose()
    waited = threading.Event()
    with OpenAI(api_key=key, base_url=f"{gateway.client.base_url}/v1", max_retries=0) as client:
        for _ in range(500):
            if gateway.client.get("/v1/models").status_code == 401:
                break
            waited.wait(0.02)
        content = [{"role": "user", "content": HELLO}]
        answer = client.chat.completions.create(model="offline", messages=content)  # type: ignore[arg-type]  # As clients write it.
        assert answer.model == "offline"
        assert 'maestro_llm_requests_total{model="offline",outcome="ok"} 1.0' in gateway.client.get("/metrics").text
        assert gateway.post("/hooks/github/shop", PUSH, github(PUSH, "d-1")).status_code == 202
        with pytest.raises(Exception, match=r"nearest: model offline"):
            client.chat.completions.create(model="offlin", messages=content)  # type: ignore[arg-type]  # As clients write it.
    assert gateway.stop() == 0
    assert key not in gateway.said()
    with Ledger.open(f"sqlite:///{gateway.home.folder / 'ledger.db'}") as ledger:
        assert ledger.check() == []
        assert ledger.balance(Scope("project", "default/shop"), Unit.TOKENS).spent > 0


def test_the_gateway_s_application_imports_no_models() -> None:
    script = "import sys, maestro.gateway.program; print(sorted(n for n in sys.modules if n.startswith('maestro.llm')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
