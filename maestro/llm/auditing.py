"""Brings decisions and what became of them into the audit log: many at once, each in exactly one entry.

A batch is taken in a transaction that marks its decisions and keeps what their entry is to say; then the entry is
written, then its index is noted with the batch. Who ends in between leaves a batch without an index, which the next one
writes unless the log has it: so there may be a second entry of the same batch, and never a decision without one.

With a batch is kept which log it is for. Where there are several, each finishes the batches that were begun for it.
"""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from maestro.audit.reader import Filter
from maestro.llm.audit_logs import LogIdentity, identity_of
from maestro.llm.decision_documents import moment
from maestro.llm.decision_lines import digest_of, line_of
from maestro.llm.decision_tables import AUDIT_CURSOR, AUDITED, BATCH_LOGS, BATCHES, CALLS, DECISIONS, METADATA
from maestro.llm.decisions import answering
from maestro.server.database import make_tables, reading
from maestro.server.removal import always

if TYPE_CHECKING:
    from maestro.audit.log import AuditLog

AUDIT_KIND = "llm.decisions"
MOST = 500
"""Decisions of one entry: it then stays below what syslog takes over UDP."""
LEFT = timedelta(hours=1)
"""Who asked has brought it into the log by then, or is gone."""
OPEN = timedelta(days=1)
"""What has no outcome by then never gets one."""
_FAR = timedelta(minutes=30)
"""Between looks at a whole day; well below the hour after which what is left counts as never audited."""
_AGAIN = timedelta(minutes=10)
"""An entry that is not there by then is written by somebody else."""
_PAGE = 2000
_LOCK = 0x6D61657374726F61  # PostgreSQL's advisory lock while a batch is taken: "maestroa".
_CURSOR = "decisions"
"""Before it nothing is left, except what is written down more than a day after it was made."""
_RECENT = "recent"
"""Before it nothing is left, except of calls that took longer than ``LEFT``."""
_log = logging.getLogger("maestro.models")


class Journal(Protocol):
    """Where entries go: an evidence desk, or ``maestro.audit.of_server.ServerAudit``."""

    @property
    def audit(self) -> AuditLog:
        """The log."""

    def note(self, kind: str, object_: str, data: Mapping[str, Any]) -> int:
        """Writes an entry; its index."""


@dataclass(frozen=True, slots=True)
class _Found:
    id: str
    at: float
    tenant: str
    project: str
    run: str | None
    ended: float | None
    """When its outcome was written; None: there is none."""


class DecisionAudit:
    """What of one database is to be in one audit log.

    Args:
        engine: the ledger's; the tables are made when they are not there.
        journal: opened when there is something to write.
        now: the clock.

    Raises:
        MaestroError: the database does not answer.
    """

    def __init__(
        self, engine: sa.Engine, journal: Callable[[], Journal], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._now = now
        self._identity: LogIdentity | None = None
        make_tables(engine, METADATA)

    def of_run(self, run: str) -> int:
        """All decisions of ``run`` that have an outcome; how many. For when nothing of it asks any more.

        Raises:
            MaestroError: database or log do not answer. What is not in the log then is brought there by ``rest``.
        """
        return self._write(self._found(DECISIONS.c.run == run), timedelta(0))

    def of_caller(self, project: str, actor: str, since: datetime) -> int:
        """Those of no run that ``actor`` has asked for in ``project`` since then; raises as :meth:`of_run`."""
        of_it = sa.and_(
            DECISIONS.c.at >= since.timestamp(),
            DECISIONS.c.run.is_(None),
            DECISIONS.c.project == project,
            DECISIONS.c.actor == actor,
        )
        return self._write(self._found(of_it), timedelta(0))

    def rest(self, *, after: timedelta = LEFT, whole: bool = False, go_on: Callable[[], bool] = always) -> int:
        """Everything that nobody has brought into the log; how many decisions that was.

        Each time those of the last hour are looked at, and every half hour those of the last day, for calls that
        took long or never ended.

        Args:
            after: for how long an outcome has been there; without one a decision is taken after ``OPEN``.
            whole: looks at all decisions, not only at those since the last look.
            go_on: asked before each page; False leaves the rest for another time.

        Raises:
            MaestroError: database or log do not answer.
        """
        written = self._begun()
        now = self._now()
        oldest, recent = (now - OPEN).timestamp(), (now - LEFT).timestamp()
        before = self._cursor(_CURSOR)
        far = whole or before < oldest - _FAR.total_seconds()
        since = before if far else max(before, self._cursor(_RECENT))
        place = (0.0 if whole else since, "")
        while go_on():
            found = self._found(_beyond(place), _PAGE)
            if found:
                place = (found[-1].at, found[-1].id)
            taken = self._ready(found, after)
            written += self._write(taken, after)
            gone = {one.id for one in taken}
            left = [one for one in found if one.id not in gone]
            oldest = min([oldest, *(one.at for one in left)])
            # What is open may stay so for a day, and is found when the whole day is looked at.
            recent = min([recent, *(one.at for one in left if one.ended is not None)])
            if len(found) < _PAGE:
                self._move_cursor(_RECENT, recent)
                if far:
                    self._move_cursor(_CURSOR, oldest)
                break
        return written

    def _ready(self, found: Sequence[_Found], after: timedelta) -> list[_Found]:
        now = self._now()
        ended, begun = (now - after).timestamp(), (now - OPEN).timestamp()
        return [one for one in found if (one.at <= begun if one.ended is None else one.ended <= ended)]

    def _write(self, found: Sequence[_Found], after: timedelta) -> int:
        """One entry for each run and project, or several where there are many."""
        owners: dict[tuple[str, str, str | None], list[_Found]] = defaultdict(list)
        for one in self._ready(found, after):
            owners[one.tenant, one.project, one.run].append(one)
        written = 0
        for whose, decisions in owners.items():
            for begin in range(0, len(decisions), MOST):
                part = decisions[begin : begin + MOST]
                try:
                    log = self._log()
                except BaseException:
                    # It is for no log yet: whichever can be opened next has it at once.
                    self._take(whose, part, None)
                    raise
                batch = self._take(whose, part, log)
                if batch is not None:
                    self._enter(*batch)
                    written += len(batch[1]["decisions"])
        return written

    def _found(self, which: sa.ColumnElement[bool], limit: int | None = None) -> list[_Found]:
        """Decisions in no batch, the oldest first."""
        columns = (DECISIONS.c.id, DECISIONS.c.at, DECISIONS.c.tenant, DECISIONS.c.project, DECISIONS.c.run, CALLS.c.at)
        query = (
            sa.select(*columns)
            .select_from(
                DECISIONS.outerjoin(AUDITED, AUDITED.c.decision == DECISIONS.c.id).outerjoin(
                    CALLS, CALLS.c.decision == DECISIONS.c.id
                )
            )
            .where(AUDITED.c.decision.is_(None), which)
            .order_by(DECISIONS.c.at, DECISIONS.c.id)
            .limit(limit)
        )
        with answering("decisions cannot be read"), reading(self._engine).begin() as connection:
            return [_Found(*row) for row in connection.execute(query)]

    def _take(
        self, whose: tuple[str, str, str | None], found: Sequence[_Found], log: LogIdentity | None
    ) -> tuple[str, dict[str, Any]] | None:
        """Marks those that nobody has taken meanwhile, as one batch: its id, and what its entry is to say."""
        ids = [one.id for one in found]
        taken_at = 0.0 if log is None else self._now().timestamp()
        batch = f"bat_{int(self._now().timestamp() * 1000):012x}{os.urandom(4).hex()}"
        with answering("decisions cannot be marked as audited"), self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            taken = connection.execute(sa.select(AUDITED.c.decision).where(AUDITED.c.decision.in_(ids))).scalars()
            lines = lines_of(connection, sorted({*ids} - {*taken}))
            if not lines:
                return None
            data = _entry(whose, [one for one in found if one.id in lines], lines)
            last = max(one.at for one in found if one.id in lines)
            row = {"id": batch, "last": last, "taken": taken_at, "data": json.dumps(data)}
            connection.execute(BATCHES.insert().values(row))
            _note_log(connection, batch, log)
            connection.execute(AUDITED.insert(), [{"decision": id, "batch": batch} for id in lines])
        return batch, data

    def _log(self) -> LogIdentity:
        if self._identity is None:
            self._identity = identity_of(self._journal().audit)
        return self._identity

    def _enter(self, batch: str, data: Mapping[str, Any]) -> None:
        with self._or_leave(batch):
            entry = self._journal().note(AUDIT_KIND, batch, data)
        self._entered(batch, entry)

    @contextmanager
    def _or_leave(self, batch: str) -> Iterator[None]:
        """When the log does not take it, whoever comes next may try at once."""
        try:
            yield
        except BaseException:
            with answering("that decisions are not audited cannot be noted"), self._engine.begin() as connection:
                connection.execute(BATCHES.update().where(BATCHES.c.id == batch).values(taken=0.0))
            raise

    def _entered(self, batch: str, entry: int) -> None:
        with answering("that decisions are audited cannot be noted"), self._engine.begin() as connection:
            connection.execute(BATCHES.update().where(BATCHES.c.id == batch).values(entry=entry, data=None))

    def _begun(self) -> int:
        """Batches whose entry somebody set about to write and did not note; how many decisions went into the log."""
        now = self._now()
        old = BATCHES.c.taken < (now - _AGAIN).timestamp()
        query = (
            sa.select(BATCHES.c.id, BATCHES.c.data, BATCH_LOGS.c.log)
            .select_from(BATCHES.outerjoin(BATCH_LOGS, BATCH_LOGS.c.batch == BATCHES.c.id))
            .where(BATCHES.c.entry.is_(None), old)
        )
        with answering("decisions cannot be read"), reading(self._engine).begin() as connection:
            rows = connection.execute(query).all()
        written = 0
        for batch, data, log in rows:
            own = self._log()
            if log is not None and log != own.id:
                continue
            mine = BATCHES.update().where(BATCHES.c.id == batch, BATCHES.c.entry.is_(None), old)
            with answering("decisions cannot be marked as audited"), self._engine.begin() as connection:
                if connection.execute(mine.values(taken=now.timestamp())).rowcount == 0:
                    continue
                _note_log(connection, batch, own if log is None else None)
            with self._or_leave(batch):
                there = next(self._journal().audit.entries(chosen=Filter(kind=AUDIT_KIND, object=batch)), None)
            if there is not None:
                self._entered(batch, there.index)
                continue
            told = json.loads(data)
            self._enter(batch, told)
            written += len(told["decisions"])
        return written

    def _cursor(self, what: str) -> float:
        query = sa.select(AUDIT_CURSOR.c.at).where(AUDIT_CURSOR.c.what == what)
        with answering("decisions cannot be read"), reading(self._engine).begin() as connection:
            return connection.execute(query).scalar() or 0.0

    def _move_cursor(self, what: str, at: float) -> None:
        row = {"what": what, "at": at}
        with answering("that decisions are audited cannot be noted"), self._engine.begin() as connection:
            if connection.execute(AUDIT_CURSOR.update().where(AUDIT_CURSOR.c.what == what).values(row)).rowcount:
                return
            connection.execute(_FIRST_CURSOR, row)


_FIRST_CURSOR = sa.text(f"INSERT INTO {AUDIT_CURSOR.name} (what, at) VALUES (:what, :at) ON CONFLICT (what) DO NOTHING")


def _note_log(connection: sa.Connection, batch: str, log: LogIdentity | None) -> None:
    if log is not None:
        connection.execute(BATCH_LOGS.insert().values(batch=batch, log=log.id, name=log.name))


def lines_of(connection: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Id -> its line, of those that are there and can be read; sorted by id.

    Args:
        ids: no more than a few hundred, sorted.
    """
    query = (
        sa.select(DECISIONS.c.id, DECISIONS.c.document, CALLS.c.document)
        .select_from(DECISIONS.outerjoin(CALLS, CALLS.c.decision == DECISIONS.c.id))
        .where(DECISIONS.c.id.in_(ids))
    )
    made: dict[str, str] = {}
    for id, document, call in sorted(connection.execute(query).all(), key=lambda row: str(row[0])):
        try:
            made[id] = line_of(document, call)
        except ValueError:
            _log.error("the decision %s cannot be read, so it is not audited: its row was changed", id)
    return made


def _entry(whose: tuple[str, str, str | None], found: Sequence[_Found], lines: Mapping[str, str]) -> dict[str, Any]:
    tenant, project, run = whose
    times = [one.at for one in found]
    return {
        "tenant": tenant,
        "project": project,
        "run": run,
        "from": moment(datetime.fromtimestamp(min(times), UTC)),
        "to": moment(datetime.fromtimestamp(max(times), UTC)),
        "count": len(lines),
        "sha256": digest_of(lines.values()),
        "decisions": {id: digest_of([line]) for id, line in lines.items()},
    }


def _beyond(place: tuple[float, str]) -> sa.ColumnElement[bool]:
    return sa.tuple_(DECISIONS.c.at, DECISIONS.c.id) > sa.tuple_(*map(sa.literal, place))
