"""News of a run: complete and told once, with a web socket that works, breaks, or is not there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from maestro.remote.graphql import GraphQL
from maestro.remote.subscription import RemoteWatch
from tests.unit.graphql_server import canned_server


class Log:
    """An event log of which a test decides how much has happened."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def answer(self, _document: str, variables: dict[str, Any]) -> Any:
        start = int(variables["cursor"] or 0)
        events = [
            {"eventType": "STEP_START", "timestamp": "1000", "stepKey": step, "message": ""}
            for step in self.steps[start : start + 2]
        ]
        cursor = start + len(events)
        more = cursor < len(self.steps)
        return {
            "logsForRun": {
                "__typename": "EventConnection", "cursor": str(cursor), "hasMore": more, "events": events,
            }
        }  # fmt: skip


class Waking(GraphQL):
    """A server whose web socket is elsewhere."""

    other = "ws://127.0.0.1:1"

    @property
    def socket_url(self) -> str:
        return self.other


@contextmanager
def watching(log: Log, socket_url: str) -> Iterator[RemoteWatch]:
    with canned_server(log.answer) as server:
        graphql = Waking(server.url, "token")
        graphql.other = socket_url
        watch = RemoteWatch(graphql, "run")
        try:
            yield watch
        finally:
            watch.close()
            graphql.close()


def take(watch: RemoteWatch, count: int) -> list[str | None]:
    """The steps of the next ``count`` events."""
    found: list[str | None] = []
    for _ in range(200):
        found += [event.step_key for event in watch.news(0.05)]
        if len(found) >= count:
            return found
    raise AssertionError(f"only {found} came")


def test_without_a_web_socket_the_events_are_asked_for() -> None:
    log = Log()
    log.steps = ["a", "b", "c", "d", "e"]
    with watching(log, "ws://127.0.0.1:1") as watch:
        assert take(watch, 5) == ["a", "b", "c", "d", "e"]
        log.steps += ["f"]
        assert take(watch, 1) == ["f"]
        assert not watch.connected
        assert watch.news(0.0) == []


@pytest.mark.parametrize("ending", ["close", "error", "garbage"])
def test_a_web_socket_that_breaks_is_opened_again_and_nothing_is_lost_or_told_twice(ending: str) -> None:
    log = Log()
    connections: list[dict[str, str]] = []
    again = threading.Event()

    def handle(socket: ServerConnection) -> None:
        assert socket.request is not None
        connections.append(dict(socket.request.headers.raw_items()))
        assert json.loads(socket.recv())["type"] == "connection_init"
        assert json.loads(socket.recv())["payload"]["variables"]["id"] == "run"
        socket.send(json.dumps({"type": "connection_ack"}))
        log.steps.append(f"step {len(connections)}")
        socket.send(json.dumps({"type": "data", "id": "1", "payload": {"data": {}}}))
        if len(connections) > 1:
            again.set()
            socket.recv(30)
        elif ending == "error":
            socket.send(json.dumps({"type": "error", "payload": {"message": "no"}}))
            socket.recv(30)
        elif ending == "garbage":
            socket.send("this is not JSON")
            socket.recv(30)

    with serve(handle, "127.0.0.1", 0, subprotocols=[Subprotocol("graphql-ws")]) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        port = server.socket.getsockname()[1]
        with watching(log, f"ws://127.0.0.1:{port}") as watch:
            assert take(watch, 2) == ["step 1", "step 2"]
            assert again.is_set()
        server.shutdown()
        thread.join()
    assert connections[0]["Authorization"] == "Bearer token"
