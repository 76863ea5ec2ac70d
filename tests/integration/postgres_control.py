"""Stops the PostgreSQL server of the tests and starts it again, on the same address and data."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import make_url

from tests.integration import postgres_server


class PostgresControl:
    """One server, found by its port."""

    def __init__(self, url: str) -> None:
        self._port = make_url(url).port
        self._process = self._find()
        self._command = self._process.cmdline()
        self._started: subprocess.Popen[bytes] | None = None

    def _find(self) -> psutil.Process:
        for one in psutil.net_connections("tcp4"):
            if one.laddr and one.laddr[1] == self._port and one.status == psutil.CONN_LISTEN and one.pid:
                found = psutil.Process(one.pid)
                # One that it has just forked has its socket for a moment, and its command line as well.
                parent = found.parent()
                return parent if parent is not None and parent.name() == found.name() else found
        raise AssertionError(f"nothing listens on {self._port}")

    @property
    def running(self) -> bool:
        """Whether it has not been stopped, or was started again."""
        return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE

    def stop(self) -> None:
        """Ends it at once, and every connection with it."""
        # PostgreSQL's fast shutdown.
        self._process.send_signal(signal.SIGINT)
        if self._started is not None:
            self._started.wait(60)
        else:
            self._process.wait(60)

    def start(self) -> None:
        """Starts it as it was, and waits until it takes connections."""
        home = Path(self._command[self._command.index("-D") + 1]).parent
        with (home / "log").open("a") as log:
            self._started = subprocess.Popen(
                postgres_server._without_root(self._command),
                cwd=home,
                env=postgres_server._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        assert postgres_server._ready(self._started, home), (home / "log").read_text()
        self._process = psutil.Process(self._started.pid)

    def close(self) -> None:
        """Ends what ``start`` has started."""
        if self._started is not None:
            postgres_server._stop(self._started)


@contextmanager
def controlled_postgres() -> Iterator[tuple[str, PostgresControl]]:
    """A server of one's own that can be stopped: its URL and its control."""
    with postgres_server.postgres_server() as url:
        control = PostgresControl(url)
        try:
            yield url, control
        finally:
            control.close()
