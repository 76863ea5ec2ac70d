"""Reads runs from a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from maestro.remote import errors, queries
from maestro.remote.graphql import GraphQL
from maestro.remote.subscription import RemoteWatch
from maestro.remote.views import event_of, record_of
from maestro.runs.event import LogKey, RunEvent, RunRecord

_RUNS_PAGE = 50
_IDS_PAGE = 1000
_EVENTS_PAGE = 1000
_LOG_BYTES = 1024 * 1024
_UNFINISHED = "\ufffd"
_LOGS_AT_ONCE = 16
# A log's cursor is two offsets, of standard output and standard error; a step of Maestro writes only the first.
_NO_STDERR = 1 << 52


class RemoteReader:
    """Reads the runs of ``project`` from a server."""

    def __init__(self, graphql: GraphQL, project: str) -> None:
        self._graphql = graphql
        self._project = project

    def recent(self, limit: int) -> list[RunRecord]:
        """The project's newest runs, newest first."""
        found: list[RunRecord] = []
        cursor: str | None = None
        while len(found) < limit:
            page = self._runs(cursor=cursor, limit=_RUNS_PAGE)
            found += [one for one in page if one.project == self._project]
            if len(page) < _RUNS_PAGE:
                break
            cursor = page[-1].run_id
        return found[:limit]

    def with_tag(self, name: str, value: str) -> list[RunRecord]:
        """Runs with a tag, newest first."""
        return self._runs(filter={"tags": [{"key": name, "value": value}]}, limit=_RUNS_PAGE)

    def _runs(self, **variables: Any) -> list[RunRecord]:
        answer = self._graphql.read(queries.RUNS, **variables)
        if "results" not in answer:
            raise errors.of_answer(answer, self._graphql.server)
        return [record_of(one) for one in answer["results"]]

    def record(self, run_id: str) -> RunRecord | None:
        """The run of that id."""
        answer = self._graphql.read(queries.RUN, id=run_id)
        if answer["__typename"] == "RunNotFoundError":
            return None
        if answer["__typename"] != "Run":
            raise errors.of_answer(answer, self._graphql.server)
        return record_of(answer)

    def ids(self) -> Iterator[str]:
        """Ids of all runs, newest first."""
        cursor: str | None = None
        while True:
            answer = self._graphql.read(queries.RUN_IDS, cursor=cursor, limit=_IDS_PAGE)
            if "results" not in answer:
                raise errors.of_answer(answer, self._graphql.server)
            yield from answer["results"]
            if len(answer["results"]) < _IDS_PAGE:
                return
            cursor = answer["results"][-1]

    def events(self, run_id: str) -> Iterator[RunEvent]:
        """What has happened in a run so far."""
        cursor: str | None = None
        while True:
            page = events_page(self._graphql, run_id, cursor)
            yield from (event for event in map(event_of, page["events"]) if event is not None)
            cursor = page["cursor"]
            if not page["hasMore"]:
                return

    @contextmanager
    def watch(self, run_id: str) -> Iterator[RemoteWatch]:
        """What has happened and what happens."""
        watch = RemoteWatch(self._graphql, run_id)
        try:
            yield watch
        finally:
            watch.close()

    def logs(self, offsets: Mapping[LogKey, int]) -> dict[LogKey, tuple[bytes, int]]:
        """The next part of each log from the byte given with it, and the byte after it."""
        keys = list(offsets)
        found: dict[LogKey, tuple[bytes, int]] = {}
        for start in range(0, len(keys), _LOGS_AT_ONCE):
            some = {key: offsets[key] for key in keys[start : start + _LOGS_AT_ONCE]}
            found.update(self._whole_characters(self._log_parts(some, _LOG_BYTES), some))
        return found

    def _whole_characters(
        self, parts: Mapping[LogKey, tuple[str, int]], offsets: Mapping[LogKey, int]
    ) -> dict[LogKey, tuple[bytes, int]]:
        """The parts, cut before a character of which the server could read only the beginning."""
        found: dict[LogKey, tuple[bytes, int]] = {}
        for key, (text, after) in parts.items():
            part = (text, after)
            for fewer in (1, 2, 3):
                length = after - offsets[key] - fewer
                if not part[0].endswith(_UNFINISHED) or length <= 0:
                    break
                shorter = self._log_parts({key: offsets[key]}, length).get(key, part)
                if not shorter[0].endswith(_UNFINISHED):
                    part = shorter
            found[key] = (part[0].encode(), part[1])
        return found

    def _log_parts(self, offsets: Mapping[LogKey, int], limit: int) -> dict[LogKey, tuple[str, int]]:
        names = {f"log{number}": key for number, key in enumerate(offsets)}
        fields = " ".join(
            f"{name}: capturedLogs(logKey: ${name}, cursor: ${name}_from, limit: {limit}) {{ stdout cursor }}"
            for name in names
        )
        declared = ", ".join(f"${name}: [String!]!, ${name}_from: String" for name in names)
        variables: dict[str, Any] = {name: list(key) for name, key in names.items()}
        variables |= {f"{name}_from": f"{offsets[key]}:{_NO_STDERR}" for name, key in names.items()}
        answers = self._graphql.read_fields(f"query Logs({declared}) {{ {fields} }}", variables)
        found: dict[LogKey, tuple[str, int]] = {}
        for name, key in names.items():
            answer = answers.get(name) or {}
            if answer.get("stdout"):
                found[key] = (answer["stdout"], int(str(answer["cursor"]).split(":", 1)[0]))
        return found


def events_page(graphql: GraphQL, run_id: str, cursor: str | None) -> dict[str, Any]:
    """Events after ``cursor``, and the cursor after them.

    Raises:
        MaestroError: they cannot be had.
    """
    answer = graphql.read(queries.EVENTS, id=run_id, cursor=cursor, limit=_EVENTS_PAGE)
    if "events" not in answer:
        raise errors.of_answer(answer, graphql.server)
    return answer
