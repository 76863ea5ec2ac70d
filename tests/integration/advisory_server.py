"""A real HTTP server with `{ecosystem}/all.zip` archives, which answers conditional requests."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


def archive(documents: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for one in documents:
            made.writestr(zipfile.ZipInfo(f"{one['id']}.json"), json.dumps(one))
    return buffer.getvalue()


@dataclass
class AdvisoryServer:
    """The server.

    Args:
        archives: path (``/PyPI/all.zip``) -> bytes.
        broken: paths of which only half is sent.
        answers: (path, status) of every request.
    """

    port: int
    archives: dict[str, bytes] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    answers: list[tuple[str, int]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, ecosystem: str, *documents: Mapping[str, Any]) -> None:
        self.archives[f"/{ecosystem}/all.zip"] = archive(documents)


@contextmanager
def advisory_server() -> Iterator[AdvisoryServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            data = state.archives.get(path)
            etag = f'"{hashlib.sha256(data or b"").hexdigest()}"'
            unchanged = data is not None and self.headers.get("If-None-Match") == etag
            status = 404 if data is None else 304 if unchanged else 200
            state.answers.append((path, status))
            self.send_response(status)
            if data is None or unchanged:
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if path in state.broken else data)

        def log_message(self, *_arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = AdvisoryServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
