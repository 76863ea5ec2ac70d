"""Keeps deliveries of many callers with one commit for all that wait, so that one wait for the disk serves them all.

A thread of its own writes. What cannot be written is tried again for a few seconds, since a database that is being
restarted is back soon and GitHub sends nothing twice; then its caller is told. After that callers are told at once,
until the thread has found by itself that the database takes writes again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import MaestroError
from maestro.inbox.errors import InboxBusyError, InboxUnavailableError
from maestro.inbox.liveness import lively
from maestro.inbox.model import NewDelivery, Stored
from maestro.inbox.storing import probe, store, take_turn
from maestro.inbox.tables import METADATA
from maestro.server.database import first_line, let_go, make_tables, open_engine

LOG = logging.getLogger(__name__)
PATIENCE = 4.0
"""Seconds a delivery is tried again. GitHub gives up on an answer after ten."""
MOST_WAITING = 4096
LARGEST_BATCH = 256
_BATCH_BYTES = 8 * 1024 * 1024
_PROBE_SECONDS = 1.0
_SHORTEST_PAUSE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    delivery: NewDelivery | None  # None: a probe.
    received: datetime
    until: float
    answer: Future[Stored | None]


class InboxWriter:
    """Takes deliveries from any thread; start one in a process and close it at the end.

    The database need not be there yet.

    Args:
        url: of the database, as ``ServerHome.inbox_url`` gives it.
        patience: seconds a delivery is tried again.
        most_waiting: deliveries held in memory before more are refused.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE, most_waiting: int = MOST_WAITING) -> None:
        self._engine = open_engine(lively(url))
        self._connection: sa.Connection | None = None
        self._patience = patience
        self._most_waiting = most_waiting
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._failure: str | None = None
        self._failing_since = 0.0
        self.batches = 0
        """Commits so far."""
        self._thread = threading.Thread(target=self._run, name="maestro-inbox-writer", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why the newest attempt to write failed; None when it did not."""
        return self._failure

    @property
    def waiting(self) -> int:
        """How many deliveries wait to be written."""
        return len(self._queue)

    def put(self, delivery: NewDelivery) -> Future[Stored]:
        """Hands in a delivery; the future's result is there when it is on disk.

        The future fails with ``InboxUnavailableError`` when the database does not take it in time, with
        ``InboxBusyError`` when too many wait already. A delivery whose future failed may be in the inbox all the same,
        when the database went away during the commit.
        """
        return self._put(delivery)  # type: ignore[return-value]  # Only a probe's future has None.

    def probe(self) -> Future[Stored | None]:
        """A future that is done when the database has taken a write that is no delivery; it fails as ``put``'s do."""
        return self._put(None)

    def close(self) -> None:
        """Writes what waits, refuses what comes later, and ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._engine.dispose()

    def _put(self, delivery: NewDelivery | None) -> Future[Stored | None]:
        now = time.monotonic()
        one = _Waiting(delivery, datetime.now(UTC), now + self._patience, Future())
        error: InboxUnavailableError | None = None
        with self._changed:
            if self._closing:
                error = InboxUnavailableError("the inbox is closed", next_step="send it again")
            elif self._failure is not None and now > self._failing_since + self._patience:
                error = _unavailable(self._failure)
            elif len(self._queue) >= self._most_waiting:
                error = InboxBusyError(
                    f"{self._most_waiting} deliveries wait to be written already", next_step="send it again later"
                )
            else:
                self._queue.append(one)
                self._changed.notify()
        if error is not None:
            one.answer.set_exception(error)
        return one.answer

    def _run(self) -> None:
        while True:
            batch = self._next()
            if batch is None:
                break
            self._serve(batch)
        self._disconnect()

    def _next(self) -> list[_Waiting] | None:
        """What is to be written together; empty when only the database is to be looked at; None at the end."""
        with self._changed:
            while not self._queue:
                if self._closing:
                    return None
                if not self._changed.wait(_PROBE_SECONDS if self._failure is not None else None):
                    return []
            batch: list[_Waiting] = []
            size = 0
            while self._queue and len(batch) < LARGEST_BATCH:
                size += len(self._queue[0].delivery.body) if self._queue[0].delivery else 0
                if batch and size > _BATCH_BYTES:
                    break
                batch.append(self._queue.popleft())
            return batch

    def _serve(self, batch: Sequence[_Waiting]) -> None:
        try:
            stored = self._write(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers hear of it and the thread goes on
            self._disconnect()
            self._failed(batch, _reason(error))
            return
        if self._failure is not None:
            LOG.info("the inbox is written again")
        self._failure = None
        self.batches += 1
        results = iter(stored)
        for one in batch:
            _settle(one, None if one.delivery is None else next(results))

    def _write(self, batch: Sequence[_Waiting]) -> list[Stored]:
        if self._connection is None:
            make_tables(self._engine, METADATA)
            self._connection = self._engine.connect()
        with self._connection.begin():
            deliveries = [(one.delivery, one.received) for one in batch if one.delivery is not None]
            if deliveries:
                return store(self._connection, deliveries)
            take_turn(self._connection)
            probe(self._connection, datetime.now(UTC))
            return []

    def _failed(self, batch: Sequence[_Waiting], reason: str) -> None:
        now = time.monotonic()
        with self._changed:
            if self._failure is None:
                self._failing_since = now
                LOG.error("the inbox cannot be written: %s", reason)
            self._failure = reason
            gone = now > self._failing_since + self._patience or self._closing
            # What still waits goes back to the front: its turn comes before that of what arrived meanwhile.
            kept = [] if gone else [one for one in batch if now < one.until]
            self._queue.extendleft(reversed(kept))
            given_up = [one for one in batch if one not in kept]
            if gone:
                given_up += self._queue
                self._queue.clear()
        for one in given_up:
            _settle(one, _unavailable(reason))
        with self._changed:
            if not self._closing:
                self._changed.wait_for(lambda: self._closing, _SHORTEST_PAUSE)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            let_go(connection)


def _settle(one: _Waiting, result: Stored | Exception | None) -> None:
    # False when the caller has cancelled it meanwhile.
    if not one.answer.set_running_or_notify_cancel():
        return
    if isinstance(result, Exception):
        one.answer.set_exception(result)
    else:
        one.answer.set_result(result)


def _unavailable(reason: str) -> InboxUnavailableError:
    return InboxUnavailableError(
        f"the inbox cannot be written: {reason}",
        next_step="check that the server's database runs and its disk is not full",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, SQLAlchemyError):
        return first_line(error)
    return error.what if isinstance(error, MaestroError) else f"{type(error).__name__}: {error}"
