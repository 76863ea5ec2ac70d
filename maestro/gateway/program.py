"""The gateway as a process: where it listens, how it ends."""

from __future__ import annotations

import contextlib
import gc
import logging
import resource
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from maestro.errors import InputError, Location
from maestro.gateway import access_log
from maestro.gateway.app import app
from maestro.gateway.connection import MOST_CONNECTIONS, Connection
from maestro.server.home import ServerHome

LOG = logging.getLogger(__name__)
_DRAIN_SECONDS = 10
_COLLECT = (20_000, 20, 50)
_KEEP_ALIVE_SECONDS = 75
_SPARE_FILES = 100
_SWITCH_SECONDS = 0.0005
"""How long the thread that writes may keep the others from running: Python's own 5 ms are a tenth of the answer."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a process that has finished what it was told to finish ends as one that succeeded."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True


def serve(home: ServerHome, *, host: str | None = None, port: int | None = None, path: Path | None = None) -> None:
    """Takes webhooks until SIGTERM or SIGINT; then answers what has arrived, writes it, and returns.

    Args:
        host, port: None: as the settings say; port 0: any that is free.
        path: a Unix socket to listen on instead.

    Raises:
        InputError: the address cannot be had.
    """
    settings = home.settings.gateway
    listener = _on_path(path) if path else listen(host or settings.host, settings.port if port is None else port)
    with contextlib.closing(listener):
        LOG.info("the gateway listens on %s", shown(listener, path))
        run(app(home), listener)
    if path is not None:
        path.unlink(missing_ok=True)


def run(application: Starlette, listener: socket.socket) -> None:
    """Answers until SIGTERM or SIGINT; then answers what has arrived, and returns."""
    _allow_files()
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What was imported lives as long as the process: looking at it again and again delays answers.
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    _Server(config).run(sockets=[listener])


def listen(
    host: str, port: int, *, elsewhere: str = "set gateway.host and gateway.port in server.yaml"
) -> socket.socket:
    """A socket for an address; port 0: any that is free.

    Args:
        elsewhere: how another address is chosen.

    Raises:
        InputError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise InputError(
            f"the gateway cannot listen on {host}:{port}: {error.strerror}",
            next_step=f"stop what listens there, or {elsewhere}",
        ) from error
    return listener


def _on_path(path: Path) -> socket.socket:
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        # A proxy before it is of the same group.
        path.chmod(0o660)
    except OSError as error:
        listener.close()
        raise InputError(
            f"the gateway cannot listen: {error.strerror or error}",
            where=Location(str(path)),
            next_step="name another --socket",
        ) from error
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def shown(listener: socket.socket, path: Path | None) -> str:
    """Where it listens, as a URL or a path."""
    if path is not None:
        return str(path)
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allow_files() -> None:
    # A connection is a file; many systems allow a process fewer than the gateway takes connections.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def log_to_stderr() -> None:
    """Lines with their time on standard error; nothing of libraries but what is wrong."""
    access = logging.StreamHandler()
    access.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger(access_log.__name__).addHandler(access)
    logging.getLogger(access_log.__name__).propagate = False
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("maestro").setLevel(logging.INFO)
    # It quotes what cannot be read as HTTP, once for each request.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
