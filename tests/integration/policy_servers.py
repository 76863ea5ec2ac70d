"""Servers policy is asked of: a real OPA, and one that answers as a test wants."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.loopback import Handler, serving


@contextmanager
def answering(status: int, body: bytes, *, held: threading.Event | None = None) -> Iterator[str]:
    """A server that gives everybody the same answer; its URL.

    Args:
        held: the answer waits for this.
    """

    class Answering(Handler):
        def do_POST(self) -> None:
            self.body()
            if held is not None:
                held.wait(30)
            try:
                self.reply(status, body, {"location": "http://127.0.0.1:9/"})
            except OSError:
                return

    with serving(Answering) as url:
        try:
            yield url
        finally:
            if held is not None:
                held.set()


@contextmanager
def opa_server(opa: str, bundle: Path, log: Path) -> Iterator[str]:
    """A real OPA server with this bundle; its URL."""
    import httpx

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [opa, "run", "--server", "--addr", f"127.0.0.1:{port}", "--disable-telemetry", "--bundle", str(bundle)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, trust_env=False) as client:
            assert client.get(f"{url}/health", params={"bundles": "true"}).status_code == 200, log.read_text()
        yield url
    finally:
        server.terminate()
        server.wait(10)


def opa_test(opa: str, folder: Path) -> dict[str, bool]:
    """``maestro.lib_test.test_…`` -> whether it passed, by the real ``opa test``."""
    done = subprocess.run(
        [opa, "test", "--bundle", str(folder), "--format", "json"], capture_output=True, text=True, check=False
    )
    return {
        f"{one['package'].removeprefix('data.')}.{one['name']}": not (one.get("fail") or one.get("error"))
        for one in json.loads(done.stdout)
    }
