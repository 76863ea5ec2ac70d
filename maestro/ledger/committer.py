"""One transaction for all callers that wait: whoever comes first carries out what others have asked for meanwhile.

There is no thread here: a caller that has its turn serves the whole queue, so one caller alone pays for no hand-over
and fifty pay for few commits. ``writer.py`` adds a thread for callers that cannot wait.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import MaestroError
from maestro.ledger.books import Entry
from maestro.ledger.errors import LedgerUnavailableError, may_pass
from maestro.ledger.model import BudgetExceededError
from maestro.ledger.operations import Operation, Release, Reserve, Settle
from maestro.ledger.rows import CrossingKey
from maestro.ledger.sweeping import lapsing
from maestro.ledger.transaction import Outcome, carry_out
from maestro.ledger.witness import Witness, database_file
from maestro.server.database import first_line, let_go, open_engine

PATIENCE = 5.0
"""Seconds a database that went away is tried again, before callers are told."""
LARGEST_BATCH = 256
_PAUSE = 0.05
_MOST_KNOWN = 10_000
_GIVING_BACK = (Settle, Release)


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """An operation in the queue, and where its caller hears of it.

    Args:
        wake: called when it is done, and when somebody is wanted to serve the queue.
    """

    operation: Operation
    wake: Callable[[], object]
    answer: Future[Any] = field(default_factory=Future)


class Committer:
    """The queue of one process, and the connection that serves it. A forked child gets its own.

    What is reserved is on the disk before its caller goes on. With SQLite a transaction that only settles or releases
    does not wait for the disk: the end of a process loses nothing of it, and a power cut at most what was settled since
    the last reservation, which then counts as the worst case.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        self._url = url
        self._patience = patience
        self._start_over()
        _COMMITTERS.add(self)

    def _start_over(self) -> None:
        self.engine = open_engine(self._url)
        file = database_file(self.engine.url)
        self._witness = None if file is None else Witness(file)
        self._queue: deque[Waiting] = deque()
        self._turn = threading.Lock()
        self._connection: sa.Connection | None = None
        self._known: set[CrossingKey] = set()
        self._waits_for_disk = True
        self.batches = 0
        """Transactions so far."""

    def perform(self, operation: Operation) -> Any:
        """Carries the operation out, with what others have put into the queue; gives its result.

        Raises:
            MaestroError: why it was not.
        """
        called = threading.Event()
        waiting = Waiting(operation, called.set)
        self._queue.append(waiting)
        try:
            self.serve(waiting.answer)
            while not waiting.answer.done():
                called.wait()
                called.clear()
                self.serve(waiting.answer)
        except BaseException:
            # Interrupted while it waited: it is not to be done any more, and somebody else has to serve the queue.
            with suppress(ValueError):
                self._queue.remove(waiting)
            self._hand_on()
            raise
        return waiting.answer.result()

    def put(self, operation: Operation, wake: Callable[[], object]) -> Future[Any]:
        """Puts the operation into the queue; its caller has to call ``serve``, and again whenever it is woken."""
        waiting = Waiting(operation, wake)
        self._queue.append(waiting)
        return waiting.answer

    def serve(self, until: Future[Any] | None = None) -> None:
        """Carries out what is in the queue unless somebody does so already.

        Args:
            until: the caller's own; when it is done somebody else goes on. None: until the queue is empty.
        """
        while self._queue and not (until is not None and until.done()):
            if not self._turn.acquire(blocking=False):
                # Whoever has the turn looks at the queue once more after giving it back.
                return
            self._serve()
        self._hand_on()

    def _hand_on(self) -> None:
        # Empty: nothing waits, or somebody else has served it.
        with suppress(IndexError):
            self._queue[0].wake()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        with self._turn:
            yield
        self._hand_on()

    def sweep(self, now: float | None = None) -> list[Entry]:
        """Takes back what callers that are gone have reserved; gives what became of each.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """
        with self._my_turn():
            return self._sweep(now)

    def close(self) -> None:
        """Serves what waits and lets go of the database."""
        while self._queue:
            self._turn.acquire()
            self._serve()
        with self._turn:
            self._disconnect()
            self.engine.dispose()

    def _serve(self) -> None:
        """Carries out one batch; whoever calls has taken the turn, which is given back before anybody is told."""
        batch: list[Waiting] = []
        outcomes: list[Outcome] = []
        try:
            batch = self._next()
            outcomes = self._outcomes(batch)
        except BaseException as error:
            # An interrupt in this caller's thread; the others' transaction is rolled back with it.
            self._disconnect()
            failure = LedgerUnavailableError(f"{type(error).__name__} while it was written")
            outcomes = [Outcome(error=failure) for _ in batch]
            raise
        finally:
            self._turn.release()
            for waiting, outcome in zip(batch, outcomes, strict=True):
                _tell(waiting.answer, outcome)
                waiting.wake()

    def _outcomes(self, batch: Sequence[Waiting]) -> list[Outcome]:
        outcomes = self._run([waiting.operation for waiting in batch])
        refused = [number for number, one in enumerate(outcomes) if isinstance(one.error, BudgetExceededError)]
        if refused and self._swept():
            for number, outcome in zip(
                refused, self._run([batch[number].operation for number in refused]), strict=True
            ):
                outcomes[number] = outcome
        return outcomes

    def _next(self) -> list[Waiting]:
        batch: list[Waiting] = []
        ids: set[str] = set()
        while self._queue and len(batch) < LARGEST_BATCH:
            # What is done to one reservation is done in one transaction each, since each reads what the last one left.
            id = getattr(self._queue[0].operation, "id", None)
            if id in ids:
                break
            if id is not None:
                ids.add(id)
            waiting = self._queue.popleft()
            # From here on its caller cannot cancel it, so whoever did has no reservation nobody knows of.
            wanted = waiting.answer.set_running_or_notify_cancel()
            if wanted or not isinstance(waiting.operation, Reserve):
                batch.append(waiting)
        return batch

    def _swept(self) -> bool:
        try:
            return bool(self._sweep(None))
        except MaestroError:
            return False

    def _sweep(self, now: float | None) -> list[Entry]:
        try:
            with self.engine.execution_options(reads=True).begin() as connection:
                found = lapsing(connection, now)
        except SQLAlchemyError as error:
            raise LedgerUnavailableError(first_line(error)) from error
        swept: list[Entry] = []
        for start in range(0, len(found), LARGEST_BATCH):
            for outcome in self._run([*found[start : start + LARGEST_BATCH]]):
                if outcome.error is not None:
                    raise outcome.error
                if isinstance(outcome.result, Entry):
                    swept.append(outcome.result)
        return swept

    def _run(self, operations: Sequence[Operation]) -> list[Outcome]:
        until = time.monotonic() + self._patience
        while operations:
            try:
                return self._transact(operations)
            except SQLAlchemyError as error:
                self._disconnect()
                if may_pass(error):
                    if time.monotonic() < until:
                        time.sleep(_PAUSE)
                        continue
                elif len(operations) > 1:
                    # One of them is not to the database's liking; the others are not to suffer for it.
                    return [outcome for one in operations for outcome in self._run([one])]
                failure = LedgerUnavailableError(first_line(error))
                failure.__cause__ = error
                return [Outcome(error=failure) for _ in operations]
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers hear of it and nothing was done
                self._disconnect()
                if len(operations) > 1:
                    return [outcome for one in operations for outcome in self._run([one])]
                return [Outcome(error=error) for _ in operations]
        return []

    def _transact(self, operations: Sequence[Operation]) -> list[Outcome]:
        if self._witness is not None:
            # SQLite would go on in a file that was deleted, and make a new one for the next connection.
            self._witness.check_there()
        connection = self._connected(not all(isinstance(one, _GIVING_BACK) for one in operations))
        with connection.begin():
            outcomes, crossed = carry_out(connection, operations, self._known)
        self.batches += 1
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known |= crossed
        return outcomes

    def _connected(self, wait_for_disk: bool) -> sa.Connection:
        if self._connection is None:
            self._connection = self.engine.connect()
            self._waits_for_disk = True
            if self.engine.dialect.name == "postgresql":
                # Whatever the server's default is.
                with self._connection.begin():
                    self._connection.exec_driver_sql("SET synchronous_commit = on")
        if self.engine.dialect.name == "sqlite" and wait_for_disk != self._waits_for_disk:
            cursor = self._connection.connection.cursor()
            cursor.execute(f"PRAGMA synchronous={'FULL' if wait_for_disk else 'NORMAL'}")
            cursor.close()
            self._waits_for_disk = wait_for_disk
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            let_go(connection)


def _tell(answer: Future[Any], outcome: Outcome) -> None:
    if answer.cancelled():
        return
    if outcome.error is not None:
        answer.set_exception(outcome.error)
    else:
        answer.set_result(outcome.result)


_COMMITTERS: weakref.WeakSet[Committer] = weakref.WeakSet()
_INHERITED: list[object] = []
"""Connections of the parent. Never closed here: SQLite's locks and PostgreSQL's session are still the parent's."""


def _after_fork() -> None:
    for committer in list(_COMMITTERS):
        _INHERITED.append((committer.engine, committer._connection))
        committer._start_over()


os.register_at_fork(after_in_child=_after_fork)
