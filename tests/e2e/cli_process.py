"""A ``maestro`` that is still running, and what it has written so far."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.product import Product

_LIMIT_SECONDS = 120.0


def until(condition: Callable[[], bool], what: Callable[[], str] | str) -> None:
    """Waits for ``condition``; fails the test when it never comes true."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never: {what if isinstance(what, str) else what()}"
        time.sleep(0.05)


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    written: Path

    @property
    def text(self) -> str:
        return self.written.read_text("utf-8")

    def says(self, text: str, times: int = 1) -> None:
        """Waits until it has written ``text`` so often."""
        until(
            lambda: self.text.count(text) >= times or self.process.poll() is not None,
            lambda: f"'{text}' {times} times in:\n{self.text}",
        )
        assert self.text.count(text) >= times, f"'{text}' {times} times in:\n{self.text}"

    def end(self) -> int:
        """Waits for its end; the exit code."""
        return self.process.wait(_LIMIT_SECONDS)

    def family(self) -> list[psutil.Process]:
        """The process and all it has started, as far as they can be found now."""
        found = psutil.Process(self.process.pid)
        return [found, *found.children(recursive=True)]


@contextmanager
def started(product: Product, *arguments: str) -> Iterator[Running]:
    """``maestro ARGUMENTS``, killed at the end of the block if it still runs."""
    written = product.root.parent / f"{product.root.name}-written.txt"
    with written.open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("maestro")), *arguments],
            cwd=product.root,
            env=product.programs_environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Running(process, written)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def gone(processes: list[psutil.Process]) -> None:
    """Waits until none of ``processes`` is left."""
    until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes), "gone")
