"""One way to both databases: engines that may be used from several threads, write transactions that wait their turn.

SQLite: write-ahead log with ``synchronous=FULL``, so a commit is on disk; a write transaction begins with the write
lock. PostgreSQL: ``synchronous_commit`` is put on for the transaction when it is off; writers wait for the head's row.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from maestro.audit import tables
from maestro.audit.errors import AuditError, AuditInputError
from maestro.audit.event import moment

WAIT = 60.0
"""Seconds to wait for other writers."""

_LOCK = 0x6D61657374726F  # PostgreSQL's advisory lock while tables are made: "maestro".
_WRITES = "maestro_audit_writes"


class Database:
    """An engine with two kinds of transactions.

    Args:
        url: ``sqlite:////absolute/path.db`` or ``postgresql://user@host/database``.

    Raises:
        AuditInputError: the address is no URL, or of another database.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise AuditInputError(
                "the address of the audit database is not a URL",
                next_step="give one like sqlite:////srv/audit.db or postgresql://user@host/database",
            ) from None
        self.shown = parsed.render_as_string(hide_password=True)
        self.kind = parsed.get_backend_name()
        if self.kind not in ("sqlite", "postgresql"):
            raise AuditInputError(
                f"the audit log cannot be kept in {self.kind}", next_step="use sqlite or postgresql: " + self.shown
            )
        self.file: Path | None = None
        if self.kind == "sqlite":
            if not parsed.database or parsed.database == ":memory:" or parsed.query:
                raise AuditInputError(
                    "the audit log needs a file", next_step="give its path: sqlite:////srv/audit.db, without options"
                )
            self.file = Path(parsed.database).absolute()
        self._url = parsed
        self._made_in = 0
        self._engine: sa.Engine | None = None
        self._making = threading.Lock()

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process; one that came through a fork is left alone, its connections are the parent's."""
        if self._made_in != os.getpid():
            if self._engine is not None:
                self._making = threading.Lock()
                self._engine.dispose(close=False)
            with self._making:
                if self._made_in != os.getpid():
                    self._engine = self._make()
                    self._made_in = os.getpid()
        assert self._engine is not None
        return self._engine

    def _make(self) -> sa.Engine:
        if self.kind == "postgresql":
            return sa.create_engine(self._url, pool_pre_ping=True, pool_size=5, max_overflow=20)
        # isolation_level None: transactions begin where they are told to, not where the driver guesses.
        engine = sa.create_engine(self._url, connect_args={"timeout": WAIT, "isolation_level": None})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def exists(self) -> bool:
        """Whether the log's tables are there; makes nothing.

        Raises:
            AuditError: the database does not answer.
        """
        if self.file is not None and not self.file.is_file():
            return False
        with self.reading() as connection:
            return bool(sa.inspect(connection).has_table(tables.HEAD.name))

    def create(self, key: str, frontier: bytes, note: str) -> None:
        """Makes the tables, triggers and the first head, unless they are there; of several that come first, one does.

        Args:
            key: the public key's line.
        """
        if self.file is not None:
            self._touch(self.file)
        with self.writing() as connection:
            if self.kind == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            if sa.inspect(connection).has_table(tables.HEAD.name):
                return
            tables.METADATA.create_all(connection)
            connection.execute(tables.LOG.insert(), {"one": 1, "format": 1, "key": key, "created": now()})
            connection.execute(tables.HEAD.insert(), {"one": 1, "size": 0, "frontier": frontier, "note": note})
            for statement in tables.guards(self.kind).values():
                connection.execute(sa.text(statement))

    @staticmethod
    def _touch(file: Path) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise AuditInputError(
                f"the audit log cannot be kept in {file}: {error.strerror}",
                next_step="check the folder and its permissions",
            ) from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is on disk when the block has ended, and has left nothing if it failed.

        Raises:
            AuditError: the database does not answer or refuses; its ``__cause__`` is SQLAlchemy's error.
        """
        options = {_WRITES: True}
        with self._words(), self.engine.connect().execution_options(**options) as connection, connection.begin():
            if self.kind == "postgresql":
                connection.execute(_DURABLE)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A short transaction to read in.

        Raises:
            AuditError: the database does not answer or refuses.
        """
        with self._words(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise AuditError(
                f"the audit database {self.shown} refuses: {_reason(error)}",
                next_step="check that the database is there, writable and not full; nothing was logged meanwhile",
            ) from error

    def close(self) -> None:
        """Closes all connections; the next use opens new ones."""
        if self._engine is not None and self._made_in == os.getpid():
            self._engine.dispose()


_DURABLE = sa.text(
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)


def now() -> str:
    """This moment as rows keep it."""
    return moment(datetime.now(UTC))


def lost_connection(error: BaseException | None) -> bool:
    """Whether an AuditError was raised because the server went away, so that a second try may succeed."""
    cause = error.__cause__ if error is not None else None
    return isinstance(cause, DBAPIError) and bool(cause.connection_invalidated)


def _reason(error: SQLAlchemyError) -> str:
    # SQLAlchemy's own text repeats the statement with its values.
    original = getattr(error, "orig", None)
    text = str(original if original is not None else error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Bytes that are no text must be reported as a changed row, not stop the one who looks.
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    deadline = time.monotonic() + WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except Exception as error:
            # SQLite does not wait here as it does elsewhere, when several processes open a new file at once.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
