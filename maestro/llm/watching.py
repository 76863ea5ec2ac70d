"""Drift and fairness of what was kept, and which alerts somebody was told of already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import sqlalchemy as sa

from maestro.errors import InputError
from maestro.llm.calls import Call, calls
from maestro.llm.days import DaySummaries, Whose
from maestro.llm.decisions import DecisionStore
from maestro.llm.drift import LEAST_CALLS, WEEKS, Day, DriftAlert, Fact, day_of, drift, fact
from maestro.llm.fairness import TenantShare, fairness
from maestro.server.database import make_tables, reading

DAY = timedelta(days=1)
LEAST_WINDOW = timedelta(hours=1)
MOST_WINDOW = timedelta(days=92)
QUIET = DAY
"""An alert that was not there for so long is told anew when it comes back."""

METADATA = sa.MetaData()
TOLD = sa.Table(
    "maestro_llm_drift_told",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("metric", sa.String(20), primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("above", sa.Boolean, primary_key=True),
    sa.Column("told", sa.Double, nullable=False, comment="when somebody was told"),
    sa.Column("seen", sa.Double, nullable=False, comment="when it was there last"),
    sqlite_with_rowid=False,
)


@dataclass(frozen=True, slots=True)
class Drifted:
    """What a look at a window found.

    Args:
        begin, end: the window; the weeks before it are what it was compared with.
        calls: of the window; fewer than ``LEAST_CALLS`` say nothing.
        days: of the weeks before, with enough calls to be compared with.
    """

    begin: datetime
    end: datetime
    calls: int
    days: int
    alerts: tuple[DriftAlert, ...]


def drift_of(
    store: DecisionStore,
    *,
    now: datetime,
    window: timedelta = DAY,
    tenant: str | None = None,
    project: str | None = None,
) -> Drifted:
    """The last ``window`` against the four weeks of whole days (UTC) before it.

    Args:
        tenant, project: None: of all together. With both, the days before are taken as they were kept.

    Raises:
        InputError: the window is too short or too long.
        MaestroError: the database does not answer.
    """
    first, last = _before(now, window)
    recent = _facts(calls(store.engine, since=now - window, until=now, tenant=tenant, project=project))
    if tenant is not None and project is not None:
        whose = (tenant, project)
        before = DaySummaries(store.engine).of(first, last, now, whose).get(whose, [])
    else:
        before = _made(
            calls(store.engine, since=_midnight(first), until=_midnight(last), tenant=tenant, project=project)
        )
    return _drifted(recent, before, now, window)


def drift_by_project(store: DecisionStore, *, now: datetime, window: timedelta = DAY) -> Mapping[Whose, Drifted]:
    """The same for each tenant and project that asked anything in that time.

    Raises:
        MaestroError: the database does not answer.
    """
    first, last = _before(now, window)
    days = DaySummaries(store.engine).of(first, last, now)
    recent: dict[Whose, list[Call]] = defaultdict(list)
    for call in calls(store.engine, since=now - window, until=now):
        recent[call.tenant, call.project].append(call)
    return {
        whose: _drifted(_facts(recent.get(whose, ())), days.get(whose, ()), now, window)
        for whose in sorted({*recent, *days})
    }


def fairness_of(store: DecisionStore, *, since: datetime, until: datetime) -> tuple[TenantShare, ...]:
    """How each tenant fared, the worst off first.

    Raises:
        MaestroError: the database does not answer.
    """
    return fairness(calls(store.engine, since=since, until=until))


class ToldAlerts:
    """Which alerts of drift were told; in the database of the decisions, so that each is told once.

    Args:
        engine: the ledger's; the table is made when it is not there.

    Raises:
        MaestroError: the database does not answer.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def fresh(self, whose: tuple[str, str], alerts: Sequence[DriftAlert], now: datetime) -> list[DriftAlert]:
        """Those to be told now; of the others it is kept that they are there still.

        Args:
            whose: tenant and project.
        """
        query = sa.select(TOLD).where(TOLD.c.tenant == whose[0], TOLD.c.project == whose[1])
        with reading(self._engine).begin() as connection:
            rows = connection.execute(query).all()
        seen = {(row.metric, row.subject, bool(row.above)): row.seen for row in rows}
        least = (now - QUIET).timestamp()
        fresh = [one for one in alerts if seen.get(_key(one), 0.0) < least]
        self._keep(whose, [one for one in alerts if one not in fresh], now, told=False)
        return fresh

    def told(self, whose: tuple[str, str], alert: DriftAlert, now: datetime) -> None:
        """Keeps that ``alert`` was told."""
        self._keep(whose, [alert], now, told=True)

    def _keep(self, whose: tuple[str, str], alerts: Iterable[DriftAlert], now: datetime, *, told: bool) -> None:
        at = now.astimezone(UTC).timestamp()
        with self._engine.begin() as connection:
            for one in alerts:
                metric, subject, above = _key(one)
                of_it = sa.and_(
                    TOLD.c.tenant == whose[0],
                    TOLD.c.project == whose[1],
                    TOLD.c.metric == metric,
                    TOLD.c.subject == subject,
                    TOLD.c.above == above,
                )
                values = {"seen": at, "told": at} if told else {"seen": at}
                if connection.execute(TOLD.update().where(of_it).values(values)).rowcount == 0:
                    row = {"tenant": whose[0], "project": whose[1], "metric": metric, "subject": subject}
                    connection.execute(TOLD.insert().values(**row, above=above, told=at, seen=at))


def _key(alert: DriftAlert) -> tuple[str, str, bool]:
    return alert.metric, alert.subject, alert.above


def _before(now: datetime, window: timedelta) -> tuple[date, date]:
    """The first day the window is compared with, and the one after the last: whole ones only.

    Raises:
        InputError: the window is too short or too long.
    """
    if not LEAST_WINDOW <= window <= MOST_WINDOW:
        raise InputError(
            "that is no time whose calls can be compared with those of the weeks before",
            next_step=f"take from {LEAST_WINDOW.total_seconds() / 3600:.0f} hour to {MOST_WINDOW.days} days, like 1d",
        )
    last = (now - window).astimezone(UTC).date()
    return last - timedelta(weeks=WEEKS), last


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _facts(found: Iterable[Call]) -> list[Fact]:
    return [seen for one in found if (seen := fact(one)) is not None]


def _made(found: Iterable[Call]) -> list[Day]:
    """Days made for this look alone."""
    days: dict[int, list[Call]] = defaultdict(list)
    for one in found:
        days[int(one.at // DAY.total_seconds())].append(one)
    return [day_of(_facts(of_it)) for _, of_it in sorted(days.items())]


def _drifted(recent: Sequence[Fact], before: Sequence[Day], now: datetime, window: timedelta) -> Drifted:
    enough = sum(day.calls >= LEAST_CALLS for day in before)
    return Drifted(now - window, now, len(recent), enough, drift(recent, before))
