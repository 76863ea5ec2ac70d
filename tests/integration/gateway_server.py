"""A real gateway process on a home of its own, and webhooks to send to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from maestro.inbox import Inbox
from maestro.server.database import open_engine
from maestro.server.home import ServerHome, find_server
from maestro.server.projects import Projects, RegisteredProject

APP_SECRET = "the app's secret"
SHOP_SECRET = "the shop's secret"
SIGNING_KEY = b"0123456789abcdef0123456789abcdef"
SIGNING_TOKEN = "whsec_" + base64.b64encode(SIGNING_KEY).decode()
GITLAB_TOKEN = "the depot's token"
PUSH = json.dumps({"ref": "refs/heads/main", "repository": {"full_name": "acme/Shop"}}).encode()
GITLAB_PUSH = json.dumps({"object_kind": "push", "project": {"path_with_namespace": "acme/depot"}}).encode()
_START_SECONDS = 60.0


def secret_file(path: Path, secret: str) -> str:
    """A reference to a file with the secret, replaced at once."""
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(secret)
    beside.replace(path)
    return f"file:{path}"


def make_home(folder: Path, database: str | None = None) -> ServerHome:
    """A home with the GitHub project ``shop``, the GitLab project ``depot`` and a common secret."""
    folder.mkdir(parents=True, exist_ok=True)
    common = secret_file(folder / "app.secret", APP_SECRET)
    settings: dict[str, object] = {"gateway": {"secrets": [common], "body_limit": 1_000_000}}
    if database is not None:
        settings["database"] = secret_file(folder / "database.url", database)
    (folder / "server.yaml").write_text(json.dumps(settings))
    home = find_server(folder)
    engine = open_engine(home.database_url)
    projects = Projects(engine)
    shop = (secret_file(folder / "shop.secret", SHOP_SECRET),)
    projects.add(RegisteredProject("shop", "https://example.test/shop", repository="acme/shop", hook_secrets=shop))
    depot = (
        secret_file(folder / "depot.token", GITLAB_TOKEN),
        secret_file(folder / "depot.signing", SIGNING_TOKEN),
    )
    projects.add(
        RegisteredProject(
            "depot", "https://example.test/depot", provider="gitlab", repository="acme/depot", hook_secrets=depot
        )
    )
    projects.add(RegisteredProject("bare", "https://example.test/bare", repository="acme/bare"))
    engine.dispose()
    return home


def github(body: bytes, delivery: str, secret: str = SHOP_SECRET, event: str = "push") -> dict[str, str]:
    """The headers GitHub sends with a body."""
    return {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-github-hook-id": "1",
        "x-hub-signature-256": "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex(),
    }


def gitlab(delivery: str, token: str = GITLAB_TOKEN) -> dict[str, str]:
    """The headers GitLab sends with a secret token."""
    return {
        "content-type": "application/json",
        "x-gitlab-event": "Push Hook",
        "idempotency-key": delivery,
        "x-gitlab-token": token,
    }


def gitlab_signed(body: bytes, delivery: str, at: float, key: bytes = SIGNING_KEY) -> dict[str, str]:
    """The headers GitLab sends with a signing token."""
    content = f"{delivery}.{int(at)}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {
        "content-type": "application/json",
        "x-gitlab-event": "Push Hook",
        "idempotency-key": delivery,
        "webhook-id": delivery,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1,{signature}",
    }


@dataclass
class GatewayServer:
    """A gateway that can be started again on the same home."""

    home: ServerHome
    log: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _clients: list[httpx.Client] = field(default_factory=list)

    def start(self) -> None:
        """Starts it and waits until it answers."""
        before = len(self.said())
        command = [sys.executable, "-m", "maestro.gateway", "--home", str(self.home.folder), "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            listening = re.search(r"listens on http://127\.0\.0\.1:(\d+)", self.said()[before:])
            if listening and self._alive(int(listening[1])):
                self.port = int(listening[1])
                break
            assert self.process.poll() is None, f"the gateway ended: {self.said()}"
            assert time.monotonic() < deadline, f"the gateway does not answer: {self.said()}"
            time.sleep(0.02)
        self._clients.append(httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30))

    @staticmethod
    def _alive(port: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).is_success
        except httpx.TransportError:
            return False

    def said(self) -> str:
        """Its log."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def client(self) -> httpx.Client:
        """Speaks to it."""
        return self._clients[-1]

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Sends a webhook."""
        return self.client.post(path, content=body, headers=dict(headers))

    def stop(self) -> int:
        """Ends it as a supervisor does; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    def inbox(self) -> Inbox:
        """What it has kept."""
        return Inbox(self.home.inbox_url)


@contextmanager
def gateway_server(home: ServerHome, log: Path) -> Iterator[GatewayServer]:
    """A running gateway, gone when the block ends."""
    server = GatewayServer(home, log)
    try:
        server.start()
        yield server
    finally:
        for client in server._clients:
            client.close()
        if server.process is not None and server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def until(condition: object, seconds: float = 30.0) -> None:
    """Waits until a condition holds."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)
