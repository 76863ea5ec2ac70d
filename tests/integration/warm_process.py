"""A real warm server, on a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maestro.server.home import ServerHome, find_server
from maestro_defs.warm import wire
from maestro_defs.warm.records import Records, server_socket, worker_socket

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
"""After which something that does not happen is taken to have failed; nothing is measured by it."""


@dataclass
class Warm:
    """A warm server that can be stopped and started again.

    Args:
        body: function of ``tests.integration.warm_bodies``, or with its module.
    """

    home: ServerHome
    body: str = "hold"
    environ: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.home.folder / "warm.log"

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        body = self.body if ":" in self.body else f"tests.integration.warm_bodies:{self.body}"
        argv = [sys.executable, "-m", "maestro_defs.warm", "--home", str(self.home.folder), "--body", body]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*argv, *arguments],
                stdout=log,
                stderr=log,
                cwd=self.home.folder,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT), **self.environ},
                start_new_session=True,
            )

    def start(self, *arguments: str) -> None:
        self.process = self.popen(*arguments)
        until(lambda: self.answers(), lambda: f"the warm server does not answer: {self.log.read_text()}")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with suppress(wire.NoAnswerError):
            return bool(self.ask(op="state")["pid"] == self.process.pid)
        return False

    def ask(self, **message: Any) -> dict[str, Any]:
        return wire.ask(server_socket(self.home), message, SECONDS)

    def launch(self, run_id: str, *, resume: bool = False) -> dict[str, Any]:
        return self.ask(op="launch", run_id=run_id, resume=resume)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def noted(self, run_id: str) -> dict[str, Any]:
        """What the body of the run wrote down, once it has."""
        file = self.home.folder / "noted" / run_id
        until(file.exists, lambda: f"run {run_id} does not begin: {self.run_log(run_id)}")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def run_log(self, run_id: str) -> str:
        file = self.home.logs / "runs" / f"{run_id}.log"
        return file.read_text() if file.exists() else "no log"

    def state(self, run_id: str) -> str:
        record = Records(self.home).get(run_id)
        return "none" if record is None else record.state

    def reaches(self, run_id: str, state: str) -> None:
        until(lambda: self.state(run_id) == state, lambda: f"run {run_id} is {self.state(run_id)}, not {state}")

    def stop_run(self, run_id: str, times: int = 1) -> dict[str, Any]:
        record = Records(self.home).get(run_id)
        assert record is not None
        message = {"op": "stop", "run_id": run_id, "times": times, "seconds": SECONDS}
        return wire.ask(worker_socket(self.home, record.process), message, SECONDS)

    def leaves(self, run_id: str) -> None:
        """Returns once the worker of the run has been told to leave it."""
        record = Records(self.home).get(run_id)
        assert record is not None
        socket = worker_socket(self.home, record.process)
        until(lambda: wire.ask(socket, {"op": "state"}, SECONDS)["leaving"], lambda: f"nobody tells {run_id} to leave")

    def end(self) -> None:
        """Ends the server and every worker."""
        for record in Records(self.home).all():
            record.process.signal(signal.SIGKILL)
        if self.process is not None and self.process.poll() is None:
            self.kill()


@contextmanager
def warm_server(
    folder: Path, settings: str = "", body: str = "hold", environ: Mapping[str, str] | None = None
) -> Iterator[Warm]:
    """A warm server that is up; ``settings``: content of ``server.yaml``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "server.yaml").write_text(settings)
    warm = Warm(find_server(folder), body, environ or {})
    try:
        warm.start()
        yield warm
    finally:
        warm.end()


def until(done: Callable[[], object], otherwise: Callable[[], str]) -> None:
    """Waits for ``done``; fails with what ``otherwise`` says."""
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.01)
