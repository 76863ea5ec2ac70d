"""Reads the inbox, and keeps single deliveries in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import MaestroError
from maestro.inbox.errors import InboxUnavailableError
from maestro.inbox.liveness import lively
from maestro.inbox.model import Delivery, Headline, NewDelivery, Stored
from maestro.inbox.storing import store, take_turn
from maestro.inbox.tables import DELIVERIES, HEADLINE, METADATA, delivery, headline, moment
from maestro.server.database import first_line, make_tables, open_engine, reading

_PRUNED_AT_ONCE = 500
_MOST_BYTES = 32 * 1024 * 1024
"""Bodies handed out at once, but for a single larger one: a page of the largest would not fit into memory."""


class Inbox:
    """The deliveries of one server.

    Args:
        url: of the database, as ``ServerHome.inbox_url`` gives it.

    Raises:
        InboxUnavailableError: the database does not answer; of every method, too.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(lively(url))
        try:
            make_tables(self._engine, METADATA)
        except MaestroError as error:
            raise InboxUnavailableError(error.what, next_step=error.next_step) from error

    def append(self, new: NewDelivery) -> Stored:
        """Keeps one delivery; it is on disk when this returns."""
        with self._answering(), self._engine.begin() as connection:
            return store(connection, [(new, datetime.now(UTC))])[0]

    def after(self, cursor: int, limit: int = 100, project: str | None = None) -> list[Delivery]:
        """What came after position ``cursor``, oldest first; fewer than ``limit`` also when their bodies are large.

        Args:
            project: only this project's.
        """
        query = sa.select(DELIVERIES.c.id, DELIVERIES.c.size).where(DELIVERIES.c.id > cursor)
        if project is not None:
            query = query.where(DELIVERIES.c.project == project)
        with self._answering(), reading(self._engine).begin() as connection:
            wanted: list[int] = []
            total = 0
            for number, size in connection.execute(query.order_by(DELIVERIES.c.id).limit(limit)):
                total += size
                if wanted and total > _MOST_BYTES:
                    break
                wanted.append(number)
            rows = sa.select(DELIVERIES).where(DELIVERIES.c.id.in_(wanted)).order_by(DELIVERIES.c.id)
            return [delivery(row) for row in connection.execute(rows).mappings()]

    def get(self, number: int) -> Delivery | None:
        """The delivery at a position."""
        return self._first(sa.select(DELIVERIES).where(DELIVERIES.c.id == number))

    def find(self, provider: str, name: str, project: str | None = None) -> Delivery | None:
        """The newest delivery that the sender calls ``name``.

        Args:
            project: only this project's.
        """
        query = sa.select(DELIVERIES).where(DELIVERIES.c.provider == provider, DELIVERIES.c.delivery == name)
        if project is not None:
            query = query.where(DELIVERIES.c.project == project)
        return self._first(query.order_by(DELIVERIES.c.id.desc()).limit(1))

    def recent(self, limit: int = 50, project: str | None = None, before: int | None = None) -> list[Headline]:
        """The newest deliveries, newest first.

        Args:
            before: only those at earlier positions, to go on from a page's last one.
        """
        query = sa.select(*HEADLINE).order_by(DELIVERIES.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(DELIVERIES.c.project == project)
        if before is not None:
            query = query.where(DELIVERIES.c.id < before)
        with self._answering(), reading(self._engine).begin() as connection:
            return [headline(row) for row in connection.execute(query).mappings()]

    def newest(self) -> int:
        """The last position; 0 when nothing is there."""
        with self._answering(), reading(self._engine).begin() as connection:
            return connection.execute(sa.select(sa.func.max(DELIVERIES.c.id))).scalar() or 0

    def prune(self, before: datetime) -> int:
        """Deletes what was received before a moment and says how many; a repeat of such a delivery is a new one then.

        It does not ask what became of them.
        """
        old = sa.select(DELIVERIES.c.id).where(DELIVERIES.c.received < moment(before))
        deleted = 0
        while True:
            # A few at a time, so that no webhook waits for long meanwhile.
            with self._answering(), self._engine.begin() as connection:
                take_turn(connection)
                ids = connection.execute(old.order_by(DELIVERIES.c.id).limit(_PRUNED_AT_ONCE)).scalars().all()
                connection.execute(DELIVERIES.delete().where(DELIVERIES.c.id.in_(ids)))
            deleted += len(ids)
            if len(ids) < _PRUNED_AT_ONCE:
                return deleted

    def close(self) -> None:
        """Closes its connections."""
        self._engine.dispose()

    def _first(self, query: sa.Select[tuple[object, ...]]) -> Delivery | None:
        with self._answering(), reading(self._engine).begin() as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else delivery(row)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise InboxUnavailableError(
                f"the inbox does not answer: {first_line(error)}",
                next_step="check that the server's database runs and its disk is not full",
            ) from error
