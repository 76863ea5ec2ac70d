"""Outlasts a database that is away for a moment: PostgreSQL is restarted, fails over, or drops a connection.

What has worked for an hour must not fail for it. Only for what may be done twice: an answer may be lost whose commit
got through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import backoff
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from maestro.errors import MaestroError

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger("maestro.storage")
SECONDS = 120.0
"""A restart, or a replica that takes over, is quicker."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


def is_away(error: BaseException | None) -> bool:
    """True when ``error``, or what caused it, is a database that does not answer, not one that objects."""
    while error is not None:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        if isinstance(error, OperationalError | InterfaceError):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_server_away(error: BaseException | None) -> bool:
    """As ``is_away``, of PostgreSQL only: what SQLite says is of this machine, and waiting seldom mends it."""
    while error is not None:
        if isinstance(error, DBAPIError) and type(error.orig).__module__.startswith("psycopg2"):
            return is_away(error)
        error = error.__cause__ or error.__context__
    return False


def patiently(
    method: Callable[P, T], seconds: float = SECONDS, *, when: Callable[[BaseException], bool] = is_away
) -> Callable[P, T]:
    """``method``, called again and again while the database is away, for up to ``seconds``.

    Args:
        when: whether an error, one of a database or of Maestro, is worth another try.
    """
    tried: Callable[P, T] = backoff.on_exception(
        backoff.expo,
        (DBAPIError, MaestroError),
        max_time=seconds,
        giveup=lambda error: not when(error),
        factor=_FIRST_PAUSE,
        max_value=_LONGEST_PAUSE,
        logger=_log,
        # Most often it is no trouble of the database's at all; whoever called is told.
        giveup_log_level=logging.DEBUG,
    )(method)
    return tried
