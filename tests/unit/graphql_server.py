"""A web server that answers GraphQL as a test says, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Raw:
    """An answer that is not GraphQL's."""

    status: int
    body: bytes = b"<html>"
    headers: Mapping[str, str] = field(default_factory=dict)


class DroppedError(Exception):
    """Raised by a test's answer: the connection is closed without one."""


Answer = Callable[[str, dict[str, Any]], Any]


@dataclass
class CannedServer:
    """What was asked, and where."""

    url: str
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def documents(self) -> list[str]:
        """First words of the documents asked, in order."""
        return [document.split("(")[0].split("{")[0].split()[-1] for document, _ in self.asked]


@contextmanager
def canned_server(answer: Answer) -> Iterator[CannedServer]:
    """A server that answers every request with ``answer(document, variables)``: GraphQL data, or ``Raw``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.asked.append((content["query"], content["variables"]))
            told.headers.append(dict(self.headers))
            try:
                found = answer(content["query"], content["variables"])
            except DroppedError:
                self.close_connection = True
                return
            raw = found if isinstance(found, Raw) else Raw(200, json.dumps({"data": found}).encode())
            self.send_response(raw.status)
            for name, value in {"content-length": str(len(raw.body)), **raw.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw.body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = CannedServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def a_run(run_id: str = "1234567890", **changes: Any) -> dict[str, Any]:
    """A run as GraphQL answers it."""
    return {
        "__typename": "Run",
        "runId": run_id,
        "rootRunId": run_id,
        "parentRunId": None,
        "jobName": "flow",
        "status": "SUCCESS",
        "runConfigYaml": "{}\n",
        "creationTime": 1.0,
        "startTime": 2.0,
        "endTime": 3.0,
        "tags": [{"key": "maestro/project", "value": "shop"}, {"key": "maestro/workflow", "value": "flow"}],
        "assetSelection": None,
        **changes,
    }
