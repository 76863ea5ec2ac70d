"""Runs of a server, with the interface ``maestro_defs.local_runs`` has for those of this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from maestro.errors import MaestroError
from maestro.remote import errors, queries
from maestro.remote.graphql import GraphQL
from maestro.remote.launch import launch
from maestro.remote.reader import RemoteReader
from maestro.runs import reading
from maestro.runs.client import LaunchRequest, News
from maestro.runs.event import RunRecord
from maestro.runs.fold import is_lost
from maestro.runs.stopping import STOP_SECONDS, already_ended, did_not_stop
from maestro.runs.view import FINISHED, RunView

_POLL_SECONDS = 0.2


class RemoteRuns:
    """Runs of one project on a server; a context manager, or call ``close``.

    Args:
        url: address of the Dagster web server.
        project: the project's name.
        token: sent as a bearer token; what ``MAESTRO_TOKEN`` says when None.

    Raises:
        InputError: ``url`` is no http or https address.
    """

    def __init__(
        self, url: str, project: str, *, token: str | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        environ = os.environ if environ is None else environ
        self._graphql = GraphQL(url, token or environ.get(errors.TOKEN_VARIABLE) or None)
        self._reader = RemoteReader(self._graphql, project)

    def __enter__(self) -> RemoteRuns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def server(self) -> str:
        """The server's address, without user and password."""
        return self._graphql.server

    def close(self) -> None:
        """Closes the connections."""
        self._graphql.close()

    def list(self, limit: int) -> list[RunView]:
        """The newest runs first, without their steps."""
        return reading.list_runs(self._reader, limit)

    def get(self, run_id: str) -> RunView:
        """One run with its steps."""
        return reading.get_run(self._reader, run_id)

    def follow(self, run_id: str, *, steps: Sequence[str] = (), logs: bool = True) -> Iterator[News]:
        """What has happened and what happens, in order, until the run ends."""
        return reading.follow_run(self._reader, run_id, steps, logs)

    def log(self, run_id: str, step: str) -> Iterator[bytes]:
        """What a step has written so far."""
        return reading.read_log(self._reader, run_id, step)

    def launch(self, request: LaunchRequest) -> str:
        """Starts a run; its id.

        Raises:
            InputError: the server cannot run this.
            MaestroError: the server cannot be used.
        """
        resumed = reading.record_of(self._reader, request.resumes) if request.resumes else None
        return launch(self._graphql, self._reader, request, resumed)

    def cancel(self, run_id: str, *, force: bool = False) -> RunView:
        """Asks the run to stop and waits until it has.

        Raises:
            InputError: it has ended already; MaestroError: it cannot be reached, or does not stop.
        """
        record = reading.record_of(self._reader, run_id)
        if record.state in FINISHED:
            raise already_ended(record)
        lost = is_lost(record)
        policy = "MARK_AS_CANCELED_IMMEDIATELY" if force or lost else "SAFE_TERMINATE"
        # Asking twice is no harm, so this may be tried again.
        answer = self._graphql.read(queries.TERMINATE, id=record.run_id, policy=policy)
        if answer["__typename"] != "TerminateRunSuccess":
            self._refused(record, answer)
        self._wait(record)
        return reading.get_run(self._reader, record.run_id)

    def _refused(self, record: RunRecord, answer: dict[str, object]) -> None:
        now = self._reader.record(record.run_id)
        if now is not None and now.state in FINISHED:
            raise already_ended(now)
        if answer["__typename"] != "TerminateRunFailure":
            raise errors.of_answer(answer, self.server)
        if record.foreground:
            host = (record.process or "another machine").split(" ", 1)[0]
            raise MaestroError(
                f"run {record.run_id} was not started by {self.server}: it is carried out on {host}",
                next_step="cancel it there without --remote, or mark it as cancelled with --force",
            )
        raise MaestroError(
            f"{self.server} cannot stop run {record.run_id}: {errors.first_line(str(answer.get('message')))}",
            next_step="mark it as cancelled with --force",
        )

    def _wait(self, record: RunRecord) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            now = self._reader.record(record.run_id)
            if now is None or now.state in FINISHED or is_lost(now):
                return
            time.sleep(_POLL_SECONDS)
        raise did_not_stop(record.run_id)
