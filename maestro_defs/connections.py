"""Dagster's event log and runs, quicker while a run executes: one open connection a database, no wait for the disk.

Stock Dagster opens a connection for every event it writes, with SQLite for every question about a run too, and waits
for the disk each time it writes. While a run executes, its process keeps the connections open instead, and commits
without that wait (SQLite ``synchronous=NORMAL``, PostgreSQL ``synchronous_commit=off``). A killed process loses nothing
by it; a machine that loses power may lose the last moments of the log, never part of an event, and what steps left
behind is in the artifact store by then.

Private seams used, pinned by tests/integration/test_dagster_seams.py: ``SqlEventLogStorage.run_connection``,
``.index_connection``, ``.has_table``, ``.has_dynamic_partition``, ``._has_asset_key_index_cols_on_connection``;
``SqliteEventLogStorage._connect``, ``.store_event``, ``._initialized_dbs``; ``PostgresEventLogStorage._connect``,
``._engine``; ``SqliteRunStorage.connect``, ``._conn_string``.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from dagster import DagsterInstance
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from maestro_defs.event_rows import NewestMaterializations
from maestro_defs.sqlite_rows import SqliteRows

_BUSY_SECONDS = 30
_MOST_SHARDS = 64
_TOGETHER = "maestro_written_together"
_COLLECTED = "maestro_collected"


class _Shared:
    """One open connection, used by one thread at a time."""

    def __init__(self, connect: Callable[[], Connection], committed: Callable[[], None] = lambda: None) -> None:
        self._connect = connect
        self._committed = committed
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._depth = 0

    @contextmanager
    def use(self) -> Iterator[Connection]:
        with self._lock:
            if self._connection is None or self._connection.invalidated or self._connection.closed:
                self._connection = self._connect()
            connection = self._connection
            self._depth += 1
            try:
                yield connection
            except BaseException:
                if self._depth == 1 and not connection.invalidated:
                    connection.rollback()
                raise
            else:
                if self._depth == 1:
                    connection.commit()
                    self._committed()
            finally:
                self._depth -= 1

    def close_idle(self) -> None:
        """Closes it unless somebody uses it: then it is closed with whoever does, when they let go of it."""
        if self._lock.acquire(blocking=False):
            try:
                if not self._depth:
                    self.close()
            finally:
                self._lock.release()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection.engine.dispose()
                self._connection = None


class _Together(threading.local):
    """The databases in which this thread has a transaction that goes on."""

    stack: ExitStack | None = None
    used: set[str] | None = None

    def join(self, shard: str, shared: _Shared) -> None:
        if self.stack is not None and self.used is not None and shard not in self.used:
            self.stack.enter_context(shared.use())
            self.used.add(shard)


class _SqliteConnections:
    def __init__(self, storage: SqliteEventLogStorage) -> None:
        self._storage = storage
        self._first_connect = storage._connect
        self._lock = threading.Lock()
        self._shards: OrderedDict[str, _Shared] = OrderedDict()
        self._together = _Together()

    def __call__(self, shard: str) -> AbstractContextManager[Connection]:
        with self._lock:
            if shard not in self._shards:
                self._shards[shard] = _Shared(lambda: self._open(shard), lambda: self._say_changed(shard))
            shared = self._shards[shard]
            self._shards.move_to_end(shard)
            # A server's conductor writes about every run there is: each has a file of its own.
            left = [self._shards.popitem(last=False)[1] for _ in range(len(self._shards) - _MOST_SHARDS)]
        for one in left:
            one.close_idle()
        self._together.join(shard, shared)
        return shared.use()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commits what this thread writes within the block at its end.

        For one thread of a process at a time: two that took the same databases in another order would wait for ever.
        """
        if self._together.used is not None:
            yield
            return
        with ExitStack() as stack:
            self._together.stack, self._together.used = stack, set()
            try:
                yield
            finally:
                self._together.stack = self._together.used = None

    def _open(self, shard: str) -> Connection:
        with self._first_connect(shard):
            pass  # Dagster's own connection makes the tables when they are not there.
        return _open_sqlite(self._storage.conn_string_for_shard(shard))

    def _say_changed(self, shard: str) -> None:
        """The web server watches this file for live views; an open connection writes only to the log beside it."""
        with suppress(FileNotFoundError):
            os.utime(self._storage.path_for_shard(shard))

    def close(self) -> None:
        for shared in self._shards.values():
            shared.close()


def _open_sqlite(address: str) -> Connection:
    engine = create_engine(
        address, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
    )
    connection = engine.connect()
    connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
    connection.commit()
    return connection


class _PostgresConnection:
    def __init__(self, storage: Any) -> None:
        self._engine = storage._engine
        self._shared = _Shared(self._open)

    def __call__(self) -> AbstractContextManager[Connection]:
        return self._shared.use()

    def _open(self) -> Connection:
        connection: Connection = self._engine.connect()
        connection.exec_driver_sql("SET synchronous_commit TO off")
        connection.commit()
        return connection

    def close(self) -> None:
        self._shared.close()


@contextmanager
def kept_connections(instance: DagsterInstance) -> Iterator[bool]:
    """Keeps connections of the instance's event log open within the block.

    Yields:
        True when the storage is one whose connections can be kept; an unknown one is left as it is.
    """
    storage: Any = instance.event_log_storage
    with ExitStack() as stack:
        if not isinstance(storage, SqlEventLogStorage) or "index_connection" in storage.__dict__:
            yield False
            return
        newest = NewestMaterializations(storage)
        if isinstance(storage, SqliteEventLogStorage):
            shards = _SqliteConnections(storage)
            stack.callback(shards.close)
            rows = SqliteRows(storage, shards, newest.note)
            replaced: dict[str, Any] = {
                _TOGETHER: shards.together,
                _COLLECTED: rows.collected,
                "store_event": rows.store_event,
                "_connect": shards,
                "run_connection": lambda run_id=None: shards(run_id),
                "index_connection": lambda: shards(INDEX_SHARD_NAME),
                "_has_asset_key_index_cols_on_connection": lambda _connection: True,
            }
        elif type(storage).__name__ == "PostgresEventLogStorage":
            single = _PostgresConnection(storage)
            stack.callback(single.close)
            replaced = {
                _TOGETHER: single.__call__,
                "_connect": single,
                "run_connection": lambda _run_id=None: single(),
                "index_connection": single,
            }
        else:
            yield False
            return
        replaced["_store_asset_event"] = newest.store_asset_event
        for name in ("fetch_materializations", "get_asset_records", "get_latest_tags_by_partition"):
            replaced[name] = getattr(newest, name)
        runs: Any = instance.run_storage
        if isinstance(runs, SqliteRunStorage) and "connect" not in runs.__dict__:
            address = runs._conn_string
            shared = _Shared(lambda: _open_sqlite(address))
            stack.callback(shared.close)
            runs.__dict__["connect"] = shared.use
            stack.callback(runs.__dict__.pop, "connect")
        before = dict(storage.__dict__)
        replaced["has_table"] = _remembering_yes(storage.has_table)
        replaced["has_dynamic_partition"] = _remembering_yes(storage.has_dynamic_partition)
        storage.__dict__.update(replaced)
        stack.callback(_put_back, storage, replaced, before)
        yield True


def written_together(instance: DagsterInstance) -> AbstractContextManager[object]:
    """Within ``kept_connections``: what this thread writes in the block is committed at its end, in one go.

    Only while no other thread of the process logs events: it would hold the logging lock this thread needs, and wait
    for the connection this thread holds.
    """
    together = instance.event_log_storage.__dict__.get(_TOGETHER)
    return together() if together is not None else nullcontext()


def collected(instance: DagsterInstance) -> AbstractContextManager[object]:
    """Within ``kept_connections``: what this thread logs in the block is written at its end, in one go.

    Other threads may log events meanwhile: nothing is held, and nothing of it can be read before. PostgreSQL's events
    are written one by one as ever.
    """
    collect = instance.event_log_storage.__dict__.get(_COLLECTED)
    return collect() if collect is not None else nullcontext()


def _remembering_yes(ask: Callable[..., bool]) -> Callable[..., bool]:
    """``ask``, which Dagster calls several times a step, asked once for what stays true while a run executes."""
    known: set[tuple[Any, ...]] = set()

    def answer(*arguments: Any) -> bool:
        if arguments not in known and ask(*arguments):
            known.add(arguments)
        return arguments in known

    return answer


def _put_back(storage: Any, replaced: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    for name in replaced:
        if name in before:
            storage.__dict__[name] = before[name]
        else:
            storage.__dict__.pop(name, None)
