"""Servers of tests: on a free port of the loopback interface, each in a thread of this process, gone with its block."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"
_PATIENCE = 20.0
_POLL_SECONDS = 0.01


class Handler(BaseHTTPRequestHandler):
    """A handler that says nothing on standard error, with the two things most servers of tests do."""

    def body(self) -> bytes:
        """What was sent with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        """Answers; ``headers`` may say another length than the body's."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def serving(server: HTTPServer | type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answers by ``http.server``; its URL, without a path.

    Args:
        server: one that listens already, or the handler of a new one with a thread a request.
    """
    running = server if isinstance(server, HTTPServer) else ThreadingHTTPServer((HOST, 0), server)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@contextmanager
def serving_asgi(application: Any, *, abruptly: bool = True, **settings: Any) -> Iterator[int]:
    """Serves an ASGI application by uvicorn; its port.

    Args:
        abruptly: at the end requests that still run are not waited for.
        settings: of ``uvicorn.Config``.
    """
    # Half of the tests need no more than http.server.
    import uvicorn

    with socket.socket() as listening:
        listening.bind((HOST, 0))
        server = uvicorn.Server(uvicorn.Config(application, log_level="critical", access_log=False, **settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="server", daemon=True)
        thread.start()
        waited = threading.Event()
        for _ in range(int(_PATIENCE / _POLL_SECONDS)):
            if server.started or not thread.is_alive():
                break
            waited.wait(_POLL_SECONDS)
        assert server.started, "the server did not start"
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            server.force_exit = abruptly
            thread.join(_PATIENCE)
