"""A web server that answers GraphQL as a test says, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import Handler, serving


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

    class Answering(Handler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = json.loads(self.body())
            told.asked.append((content["query"], content["variables"]))
            told.headers.append(dict(self.headers))
            try:
                found = answer(content["query"], content["variables"])
            except DroppedError:
                self.close_connection = True
                return
            raw = found if isinstance(found, Raw) else Raw(200, json.dumps({"data": found}).encode())
            self.reply(raw.status, raw.body, raw.headers)

    with serving(Answering) as url:
        told = CannedServer(url)
        yield told


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
