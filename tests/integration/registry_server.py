"""A real registry, Debian's docker-registry, on a free port of the loopback interface."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

DEADLINE = 30.0
# Of the password `open sesame`, as bcrypt hashes it.
HTPASSWD = "maestro:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"
USER, PASSWORD = "maestro", "open sesame"


class RegistryUnavailableError(Exception):
    """The registry cannot be started; the text says why."""


@dataclass(frozen=True)
class RegistryServer:
    """A running registry.

    Args:
        host: ``127.0.0.1:port``.
        folder: holds its data and its log.
    """

    host: str
    folder: Path

    def auth_file(self, place: Path, password: str = PASSWORD) -> Path:
        """An auth file for it."""
        encoded = base64.b64encode(f"{USER}:{password}".encode()).decode()
        place.write_text(f'{{"auths": {{"{self.host}": {{"auth": "{encoded}"}}}}}}')
        return place


@contextmanager
def registry_server(folder: Path, *, password: bool = False) -> Iterator[RegistryServer]:
    """A registry with its data under ``folder``.

    Args:
        password: asks for ``USER`` and ``PASSWORD``.
    """
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        raise RegistryUnavailableError("docker-registry is not installed: apt-get install docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(HTPASSWD)
    for attempt in range(5):
        host = f"127.0.0.1:{_free_port()}"
        (folder / "config.yml").write_text(_config(folder, host, password))
        with (folder / "log").open("w") as log:
            # The signal reaches the server when this process dies, however it dies.
            server = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", program, "serve", str(folder / "config.yml")],
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            if _ready(server, host):
                yield RegistryServer(host, folder)
                return
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(DEADLINE)
        if attempt == 4:
            raise RegistryUnavailableError(f"the registry did not start:\n{(folder / 'log').read_text()[-2000:]}")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """An open registry; tests use repositories of their own."""
    with registry_server(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry that asks for a password."""
    with registry_server(tmp_path_factory.mktemp("locked-registry"), password=True) as server:
        yield server


def _config(folder: Path, host: str, password: bool) -> str:
    auth = f"auth: {{htpasswd: {{realm: test, path: '{folder / 'htpasswd'}'}}}}\n" if password else ""
    return (
        f"version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: '{folder / 'data'}'}}\n"
        f"  delete: {{enabled: true}}\nhttp: {{addr: '{host}'}}\n{auth}"
    )


def _ready(server: subprocess.Popen[bytes], host: str) -> bool:
    deadline = time.monotonic() + DEADLINE
    while server.poll() is None and time.monotonic() < deadline:
        try:
            return httpx.get(f"http://{host}/v2/").status_code in (200, 401)
        except httpx.TransportError:
            time.sleep(0.02)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
