"""The events of a run as they come: asked for from a cursor, at once when a web socket says that there are some.

A subscription alone would not do: Dagster's watch of a SQLite log misses what a run writes through a connection it
keeps open, its watch of PostgreSQL looks less and less often at a quiet run, and a proxy may let no web socket pass. So
the web socket only wakes; what counts is the cursor, and nothing is lost or told twice when a connection breaks.

The protocol is Apollo's ``graphql-ws`` (subscriptions-transport-ws), which Dagster's web server speaks.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from maestro.remote import errors, queries
from maestro.remote.graphql import GraphQL
from maestro.remote.views import event_of
from maestro.runs.event import RunEvent

_PROTOCOL = Subprotocol("graphql-ws")
_OPEN_SECONDS = 5.0
_LARGEST = 64 * 1024 * 1024
_AGAIN_SECONDS = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
_ASK_SECONDS = 0.5
_PAGE = 1000
_BROKEN = (OSError, WebSocketException, EOFError, ValueError)


class RemoteWatch:
    """The events of one run."""

    def __init__(self, graphql: GraphQL, run_id: str) -> None:
        self._graphql = graphql
        self._run_id = run_id
        self._cursor: str | None = None
        self._stack = ExitStack()
        self._socket: ClientConnection | None = None
        self._failures = 0
        self._next_try = 0.0
        self._asked = 0.0
        self._more = True

    @property
    def connected(self) -> bool:
        """True while a web socket tells of news."""
        return self._socket is not None

    def news(self, seconds: float) -> list[RunEvent]:
        """The next events; waits up to ``seconds`` for one.

        Raises:
            MaestroError: the server does not answer any more.
        """
        if not self._more:
            if self._socket is None and time.monotonic() >= self._next_try:
                self._open()
            woken = self._wait(seconds)
            if not woken and time.monotonic() - self._asked < _ASK_SECONDS:
                return []
        return self._ask()

    def close(self) -> None:
        """Ends the subscription."""
        self._socket = None
        self._stack.close()

    def _ask(self) -> list[RunEvent]:
        answer = self._graphql.read(queries.EVENTS, id=self._run_id, cursor=self._cursor, limit=_PAGE)
        if "events" not in answer:
            raise errors.of_answer(answer, self._graphql.server)
        self._asked = time.monotonic()
        self._cursor = answer["cursor"] or self._cursor
        self._more = bool(answer["hasMore"])
        return [event for event in map(event_of, answer["events"]) if event is not None]

    def _open(self) -> None:
        graphql = self._graphql
        try:
            self._socket = self._stack.enter_context(
                connect(
                    graphql.socket_url,
                    subprotocols=[_PROTOCOL],
                    additional_headers=graphql.headers,
                    open_timeout=_OPEN_SECONDS,
                    close_timeout=1,
                    max_size=_LARGEST,
                )
            )
            variables = {"id": self._run_id, "cursor": self._cursor}
            payload = {"query": queries.SUBSCRIPTION, "variables": variables}
            self._socket.send(json.dumps({"type": "connection_init", "payload": {}}))
            self._socket.send(json.dumps({"id": "1", "type": "start", "payload": payload}))
        except _BROKEN:
            self._lost()

    def _lost(self) -> None:
        self.close()
        pause = _AGAIN_SECONDS[min(self._failures, len(_AGAIN_SECONDS) - 1)]
        self._failures += 1
        self._next_try = time.monotonic() + pause

    def _wait(self, seconds: float) -> bool:
        """True as soon as the web socket tells of news."""
        if self._socket is None:
            time.sleep(seconds)
            return False
        deadline = time.monotonic() + seconds
        woken = False
        try:
            while True:
                # What has arrived already is taken at once, so that a burst wakes once.
                left = 0.0 if woken else max(0.0, deadline - time.monotonic())
                message = json.loads(self._socket.recv(left))
                kind = message.get("type")
                if kind == "data":
                    woken, self._failures = True, 0
                elif kind in ("error", "connection_error", "complete"):
                    self._lost()
                    return woken
        except TimeoutError:
            return woken
        except _BROKEN:
            self._lost()
            return woken
