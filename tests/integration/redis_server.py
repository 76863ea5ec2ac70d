"""Runs a Redis server of its own for the tests: temporary, on the loopback interface, behind a random password."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

DEADLINE = 30.0
"""Seconds a server may take to start or stop."""


class RedisUnavailableError(Exception):
    """The server cannot be run here; the message names what to install or what the server said."""


@contextmanager
def redis_server() -> Iterator[str]:
    """Starts a server and yields the URL of its database 0; stops it afterwards.

    Raises:
        RedisUnavailableError: Redis is not installed, or does not start.
    """
    binary = shutil.which("redis-server")
    if binary is None:
        raise RedisUnavailableError(
            "redis-server is missing; install the Debian package redis-server, or run ./scripts/setup"
        )
    password = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="maestro-redis-") as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        folder = Path(name)
        # By standard input: arguments can be read by anybody.
        settings = f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir {folder}\n'
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", binary, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
            )
        assert server.stdin is not None
        server.stdin.write(settings)
        server.stdin.close()
        try:
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            _wait(server, url, folder / "log")
            yield url
        finally:
            server.terminate()
            server.wait(DEADLINE)


def _wait(server: subprocess.Popen[str], url: str, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    with redis.Redis.from_url(url) as client:
        while server.poll() is None and time.monotonic() < deadline:
            try:
                client.ping()
                return
            except redis.RedisError:
                time.sleep(0.02)
    raise RedisUnavailableError(f"Redis did not start:\n{log.read_text()}")
