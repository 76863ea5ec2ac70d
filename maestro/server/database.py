"""The server's database: SQLite files in its home, or one PostgreSQL database."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import InputError, MaestroError

WAIT_SECONDS = 30.0
"""How long one writer waits for another."""
_TABLES_LOCK = 0x6D61657374726F5F  # PostgreSQL's advisory lock while tables are made: "maestro_".
_SQLITE_NOW = sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double)
# Not now(): that is when the transaction began, which may be before it waited for another one's.
_POSTGRESQL_NOW = sa.literal_column("extract(epoch from clock_timestamp())::float8", sa.Double)


def open_engine(url: str) -> sa.Engine:
    """An engine for ``url``, with its own connections.

    SQLite: write-ahead log, a commit is on disk when it returns, and a transaction that writes takes the write lock at
    its beginning (``BEGIN IMMEDIATE``), so that it never fails half-way because another was quicker.

    Raises:
        InputError: it is no address of SQLite or PostgreSQL.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise InputError(
            "the address of the server's database is not a URL",
            next_step="give one like postgresql://user@host:5432/database",
        ) from None
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(parsed, pool_pre_ping=True, pool_size=5, max_overflow=20)
    if parsed.get_backend_name() != "sqlite":
        raise InputError(
            f"the server's state cannot be kept in {parsed.get_backend_name()}", next_step="use sqlite or postgresql"
        )
    engine = sa.create_engine(parsed, connect_args={"timeout": WAIT_SECONDS, "check_same_thread": False})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and too late; SQLAlchemy's begin event does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={int(WAIT_SECONDS * 1000)}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    statement = "BEGIN" if reads else "BEGIN IMMEDIATE"
    # The driver's own call: SQLAlchemy's takes longer than many a transaction that follows.
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.execute(statement)
    except sqlite3.Error as error:
        raise sa.exc.OperationalError(statement, None, error) from error


def reading(engine: sa.Engine) -> sa.Engine:
    """The same database for transactions that only read: they wait for no writer."""
    return engine.execution_options(reads=True)


def database_now(connection: sa.Connection) -> sa.ColumnElement[float]:
    """Seconds since 1970 by the database's clock, for a statement: hosts need not agree on theirs."""
    return _POSTGRESQL_NOW if connection.dialect.name == "postgresql" else _SQLITE_NOW


def make_tables(engine: sa.Engine, metadata: sa.MetaData) -> None:
    """Makes the tables of ``metadata`` that are not there; several processes may do so at once.

    Raises:
        MaestroError: the database does not answer.
    """
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TABLES_LOCK)))
            metadata.create_all(connection)
    except SQLAlchemyError as error:
        raise MaestroError(
            f"the server's database cannot be used: {first_line(error)}",
            next_step="check that it runs and that `database` in server.yaml is right",
        ) from error


def let_go(connection: sa.Connection) -> None:
    """Closes a connection that may be broken; nobody gets it again."""
    with suppress(SQLAlchemyError):
        connection.invalidate()
        connection.close()


def first_line(error: SQLAlchemyError) -> str:
    """What the driver says, without the statement and its values."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
