"""A real Dagster web server, with its code server, on a project under test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from maestro_defs.instance import dagster_home
from tests.integration.delivery import Delivery

CHECKOUT = Path(__file__).resolve().parents[2]
_START_SECONDS = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class WebServer:
    """A web server that can be stopped and started again on the same port."""

    delivery: Delivery
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> Mapping[str, str]:
        inherited = os.environ.get("PYTHONPATH")
        return {
            **os.environ,
            "DAGSTER_HOME": str(dagster_home(self.delivery.project, self.delivery.profile)),
            "MAESTRO_PROJECT": str(self.delivery.root),
            "MAESTRO_PROFILE": str(self.delivery.profile.folder),
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *([inherited] if inherited else [])]),
        }

    def start(self) -> None:
        arguments = ["-h", "127.0.0.1", "-p", str(self.port), "-w", str(CHECKOUT / "workspace.yaml")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster_webserver", *arguments],
                stdout=log,
                stderr=log,
                env=self.environment(),
                cwd=self.delivery.root,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            ended = self.process.poll()
            assert ended is None, f"the web server ended with {ended}: {self.log.read_text()}"
            assert time.monotonic() < deadline, f"the web server does not answer: {self.log.read_text()}"
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/server_info", timeout=5).is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Ends the web server, its code server, and the runs these started."""
        if self.process is None:
            return
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        self.process.send_signal(signal.SIGINT)
        _gone, alive = psutil.wait_procs(family, timeout=1)
        for one in alive:
            one.kill()
        psutil.wait_procs(alive, timeout=10)
        self.process.wait(10)
        self.process = None


@contextmanager
def web_server(delivery: Delivery, folder: Path) -> Iterator[WebServer]:
    """A running web server, gone when the block ends."""
    server = WebServer(delivery, folder / "web-server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()
