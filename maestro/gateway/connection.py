"""A connection that anybody may open: bounded in what it holds and in how long it may take.

uvicorn's connection over httptools reads headers of any length for any time, because a proxy is expected before it. The
gateway needs none, so the bounds are here.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from maestro.gateway.refusal import RETRY_SECONDS

MOST_CONNECTIONS = 1000
REQUEST_SECONDS = 30.0
"""How long a whole request may take to arrive; the body's own limit is shorter and has an answer."""
LONGEST_HEADERS = 64 * 1024
_IDLE_SECONDS = 10.0
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"retry-after: %d\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % RETRY_SECONDS
)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._not_understood = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As in the base.
        """Refuses one connection too many with an answer."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._end(_BUSY)
        else:
            self._wait(_IDLE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the timer."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Ends the connection when headers, trailers or the framing of chunks have no end."""
        if self.transport.is_closing():
            return
        self._not_understood += len(data)
        super().data_received(data)
        # Everything that may be long resets it while it is read.
        if self._not_understood > LONGEST_HEADERS and not self.transport.is_closing():
            self._end(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._wait(REQUEST_SECONDS)

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        self._not_understood = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body is there."""
        self._not_understood = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._not_understood = 0
        self._stop()
        super().on_message_complete()

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, answer: bytes) -> None:
        self._stop()
        # Nothing is said where an answer is under way already.
        cycle = cast("Any", self.cycle)
        if cycle is None or cycle.response_complete:
            self.transport.write(answer)
        self.transport.close()
