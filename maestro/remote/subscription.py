"""The events of a run as they come: pushed over a web socket, or asked for when there is none.

The protocol is Apollo's ``graphql-ws`` (subscriptions-transport-ws), which Dagster's web server speaks.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import Any

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
_POLL_SECONDS = 0.3
_PAGE = 1000


class RemoteWatch:
    """The events of one run; nothing is lost or told twice when the connection breaks."""

    def __init__(self, graphql: GraphQL, run_id: str) -> None:
        self._graphql = graphql
        self._run_id = run_id
        self._cursor: str | None = None
        self._socket: ClientConnection | None = None
        self._stack = ExitStack()
        self._failures = 0
        self._next_try = 0.0

    @property
    def connected(self) -> bool:
        """True while events are pushed."""
        return self._socket is not None

    def news(self, seconds: float) -> list[RunEvent]:
        """The next events; waits up to ``seconds`` for one.

        Raises:
            MaestroError: the server does not answer any more.
        """
        if self._socket is None and time.monotonic() >= self._next_try:
            self._open()
        if self._socket is None:
            return self._ask(seconds)
        try:
            return self._receive(self._socket, seconds)
        except (OSError, WebSocketException, EOFError):
            self._lost()
            return []

    def close(self) -> None:
        """Ends the subscription."""
        self._socket = None
        self._stack.close()

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
        except (OSError, WebSocketException, EOFError):
            self._lost()

    def _lost(self) -> None:
        self.close()
        pause = _AGAIN_SECONDS[min(self._failures, len(_AGAIN_SECONDS) - 1)]
        self._failures += 1
        self._next_try = time.monotonic() + pause

    def _ask(self, seconds: float) -> list[RunEvent]:
        answer = self._graphql.read(queries.EVENTS, id=self._run_id, cursor=self._cursor, limit=_PAGE)
        if "events" not in answer:
            raise errors.of_answer(answer, self._graphql.server)
        found = self._events(answer["events"], answer["cursor"])
        if not found:
            time.sleep(max(seconds, _POLL_SECONDS))
        return found

    def _receive(self, socket: ClientConnection, seconds: float) -> list[RunEvent]:
        found: list[RunEvent] = []
        deadline = time.monotonic() + seconds
        while True:
            try:
                # What has arrived already is taken at once, so that a burst is one batch.
                message = json.loads(socket.recv(0.0 if found else max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                return found
            kind = message.get("type")
            if kind == "data":
                found += self._pushed(message.get("payload") or {})
                self._failures = 0
            elif kind in ("error", "connection_error", "complete"):
                # Asking works where subscribing does not; a run's end is seen in its events, not by this.
                self._lost()
                return found

    def _pushed(self, payload: dict[str, Any]) -> list[RunEvent]:
        if payload.get("errors"):
            raise errors.of_graphql(payload["errors"], self._graphql.server)
        answer = (payload.get("data") or {}).get("pipelineRunLogs") or {}
        if "messages" not in answer:
            raise errors.of_answer(answer, self._graphql.server)
        return self._events(answer["messages"], answer["cursor"])

    def _events(self, messages: list[dict[str, Any]], cursor: str | None) -> list[RunEvent]:
        self._cursor = cursor or self._cursor
        return [event for event in map(event_of, messages) if event is not None]
