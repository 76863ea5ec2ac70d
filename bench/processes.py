"""Programs that are measured, and what is waited for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

_HERE = Path(__file__).resolve().parent.parent


@contextmanager
def program(arguments: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``python ARGUMENTS`` within the block, with bytecode written; what it prints is in ``programs.log``."""
    environment = {**os.environ, "PYTHONPATH": str(_HERE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with (folder / "programs.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # Dagster's web server leaves its code servers behind.
        for left in below:
            with suppress(psutil.NoSuchProcess):
                left.kill()


@contextmanager
def web_server(folder: Path, dagster_home: Path, *arguments: str) -> Iterator[tuple[str, int]]:
    """Dagster's web server within the block: its URL and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    argv = ["-m", "dagster_webserver", *arguments, "-h", "127.0.0.1", "-p", str(port)]
    with environment({"DAGSTER_HOME": str(dagster_home)}), program(argv, folder) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: _answers(f"{url}/server_info"), "the web server answers", 90)
        yield url, process.pid


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class HeldLock:
    """A file that processes wait for with ``flock -s FILE true`` until it is released; no one of them looks twice."""

    def __init__(self, file: Path) -> None:
        file.touch()
        self.file = file
        self._holder = subprocess.Popen(["flock", str(file), "cat"], stdin=subprocess.PIPE)

    def waiting(self) -> int:
        """How many processes wait for it."""
        wanted = ["flock", "-s", str(self.file), "true"]
        return sum(1 for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == wanted)

    def release(self) -> None:
        """Lets all of them go on; again does nothing."""
        if self._holder.stdin is not None:
            self._holder.stdin.close()
        self._holder.wait()


def until(done: Callable[[], bool], what: str, seconds: float) -> None:
    """Waits until ``done``; raises RuntimeError after that many seconds."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)
