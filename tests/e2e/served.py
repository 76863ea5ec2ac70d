"""A server of a test's own: its home on free ports, a repository it delivers, and webhooks for it."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.cli_process import Running, started, until
from tests.e2e.product import Product

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
  ... on PythonError { message }
  ... on RepositoryLocation { repositories { assetNodes { assetKey { path } } } }
} } } } }"""


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@dataclass(frozen=True)
class Served:
    """A server's home.

    Args:
        product: the repository ``shop``; programs run in it find the server's home.
    """

    home: Path
    product: Product
    gateway: str
    web: str

    @classmethod
    def new(cls, folder: Path, workflow: str, settings: str = "") -> Served:
        home = folder / "home"
        home.mkdir(parents=True)
        gateway, web = free_ports(2)
        (home / "server.yaml").write_text(f"gateway: {{port: {gateway}}}\nweb: {{port: {web}}}\n{settings}")
        product = Product.new(folder / "shop", {"maestro.yaml": workflow}, {"MAESTRO_SERVER_HOME": str(home)})
        return cls(home, product, f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{web}")

    @contextmanager
    def running(self, *words: str) -> Iterator[Running]:
        """``maestro server``, ready."""
        with started(self.product, "server", *words) as running:
            running.says("the server is ready")
            yield running

    def register(self, name: str = "shop", product: Product | None = None) -> str:
        """Registers a repository as GitHub's ``acme/NAME``; what was said."""
        root = (product or self.product).root
        words = ("--provider", "github", "--repository", f"acme/{name}", "--name", name)
        ended = self.product.maestro("projects", "add", str(root), *words)
        assert ended.code == 0, ended.text
        return ended.out

    def push(self, name: str = "shop") -> None:
        """Sends a signed webhook about the repository's commit."""
        sha = self.product.git("rev-parse", "HEAD")
        person = {"login": "a", "id": 1, "type": "User"}
        about = {"id": 1, "name": name, "full_name": f"acme/{name}", "owner": person, "default_branch": "main"}
        content = {"ref": "refs/heads/main", "before": "0" * 40, "after": sha, "created": True, "deleted": False}
        rest = {"forced": False, "repository": about, "pusher": {"name": "a"}, "sender": person, "commits": []}
        body = json.dumps({**content, **rest, "head_commit": None}).encode()
        secret = (self.home / "secrets" / name).read_bytes()
        headers = {
            "content-type": "application/json",
            "x-github-event": "push",
            "x-github-delivery": str(uuid.uuid4()),
            "x-hub-signature-256": f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}",
        }
        with _OPENER.open(urllib.request.Request(f"{self.gateway}/hooks/github/{name}", body, headers)) as answer:
            assert answer.status == 202

    def hooks(self) -> list[dict[str, Any]]:
        """Webhooks, newest first."""
        found: list[dict[str, Any]] = self.product.maestro("hooks", "list", "--json").json()["hooks"]
        return found

    def locations(self) -> dict[str, str]:
        """What Dagster's web server shows: a project's name -> its assets, or why it cannot be loaded."""
        body = json.dumps({"query": _LOCATIONS}).encode()
        request = urllib.request.Request(f"{self.web}/graphql", body, {"content-type": "application/json"})
        with _OPENER.open(request, timeout=30) as answer:
            entries = json.load(answer)["data"]["workspaceOrError"]["locationEntries"]
        return {one["name"]: json.dumps(one["locationOrLoadError"]) for one in entries}

    def shows(self, condition: Callable[[dict[str, str]], bool]) -> None:
        """Waits until what Dagster's web server shows fulfils ``condition``."""
        until(lambda: condition(self.locations()), lambda: f"in Dagster: {self.locations()}")


def programs_of(running: Running, module: str) -> list[psutil.Process]:
    """Processes of the server that run ``module``, and go on."""
    return [one for one in running.family() if module in _words(one)]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # Also of one that has ended and waits to be reaped.
        return []
