"""A real HTTP server with `{ecosystem}/all.zip` archives, which answers conditional requests."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.loopback import Handler, serving


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

    url: str = ""
    archives: dict[str, bytes] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    answers: list[tuple[str, int]] = field(default_factory=list)

    def put(self, ecosystem: str, *documents: Mapping[str, Any]) -> None:
        self.archives[f"/{ecosystem}/all.zip"] = archive(documents)


@contextmanager
def advisory_server() -> Iterator[AdvisoryServer]:
    state = AdvisoryServer()

    class Answering(Handler):
        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            data = state.archives.get(path)
            etag = f'"{hashlib.sha256(data or b"").hexdigest()}"'
            unchanged = data is not None and self.headers.get("If-None-Match") == etag
            status = 404 if data is None else 304 if unchanged else 200
            state.answers.append((path, status))
            if data is None or unchanged:
                self.reply(status)
            else:
                sent = data[: len(data) // 2] if path in state.broken else data
                self.reply(status, sent, {"ETag": etag, "Content-Length": str(len(data))})

    with serving(Answering) as state.url:
        yield state
