"""HTTP connections for many calls at once.

httpcore looks at every connection of its pool, sockets included, when a request begins and when it ends: with fifty at
once that is two thirds of a request's time. So calls are spread over several small pools.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

POOLS = 16
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 3.0
"""A connection is not used again after so long: uvicorn, which vLLM and others run in, closes it after five."""


class Connections:
    """Clients of one event loop; redirects are not followed, and a proxy named in the environment is used."""

    def __init__(self) -> None:
        self._clients: list[httpx.AsyncClient] = []
        self._busy: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def client(self) -> Iterator[httpx.AsyncClient]:
        """The client with the fewest calls, for one call."""
        place = self._least_busy()
        busy = self._busy
        busy[place] += 1
        try:
            yield self._clients[place]
        finally:
            busy[place] -= 1

    async def close(self) -> None:
        """Ends the connections of this loop."""
        clients, self._clients, self._busy = self._clients, [], []
        if self._loop is asyncio.get_running_loop():
            for client in clients:
                await client.aclose()

    def _least_busy(self) -> int:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Those of another loop cannot be closed from here.
            self._clients, self._busy, self._loop = [], [], loop
        place = min(range(len(self._busy)), key=self._busy.__getitem__, default=-1)
        if place < 0 or (self._busy[place] and len(self._clients) < POOLS):
            self._clients.append(self._made())
            self._busy.append(0)
            return len(self._clients) - 1
        return place

    def _made(self) -> httpx.AsyncClient:
        if not self._clients:
            # Reading the certificates takes 20 ms, so it is done once.
            self._certificates = httpx.create_ssl_context()
        return httpx.AsyncClient(
            verify=self._certificates,
            # Time and numbers are bounded per call and per deployment, not here.
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=IDLE_SECONDS),
            follow_redirects=False,
        )
