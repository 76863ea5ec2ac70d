"""What each project's calls of each day (UTC) came to, made once the day is complete and kept: one small row a day."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta

import sqlalchemy as sa

from maestro.errors import MaestroError
from maestro.llm.calls import calls
from maestro.llm.decisions import answering
from maestro.llm.drift import Day, Fact, ModelDay, Numbers, day_of, fact
from maestro.server.database import make_tables, reading

Whose = tuple[str, str]
"""Tenant and project."""
COMPLETE = timedelta(hours=6)
"""So long after a day's end each of its calls has an outcome, or never gets one."""
KEPT_FOR = timedelta(days=150)
"""The longest time that can be compared, and the weeks before it."""
_EVERYBODY: Whose = ("", "")
"""Of the row that says that a day's rows are all there; no tenant has an empty name."""
_DAY = timedelta(days=1)

METADATA = sa.MetaData()
DAYS = sa.Table(
    "maestro_llm_days",
    METADATA,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("document", sa.Text, nullable=False, comment="JSON"),
    sqlite_with_rowid=False,
)
_KEEP = sa.text(
    f"INSERT INTO {DAYS.name} (day, tenant, project, document) VALUES (:day, :tenant, :project, :document) "
    "ON CONFLICT (day, tenant, project) DO NOTHING"
)


class DaySummaries:
    """Days in the database of the decisions; the table is made when it is not there.

    Args:
        engine: the ledger's.

    Raises:
        MaestroError: the database does not answer.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def of(self, first: date, last: date, now: datetime, whose: Whose | None = None) -> dict[Whose, list[Day]]:
        """The days from ``first`` to before ``last`` that had calls, in order; those not kept yet are made.

        Args:
            whose: None: of everybody.

        Raises:
            MaestroError: the database does not answer.
        """
        days = [first + _DAY * number for number in range((last - first).days)]
        missing = set(days) - self._known(first, last)
        made = {day: self._make(day, now) for day in sorted(missing)}
        kept = self._kept(first, last, whose)
        found: dict[Whose, list[Day]] = defaultdict(list)
        for day in days:
            for of_whom, summary in (made[day] if day in made else kept.get(day, {})).items():
                if whose in (None, of_whom):
                    found[of_whom].append(summary)
        return found

    def prune(self, now: datetime) -> int:
        """Removes days nothing is compared with any more; how many rows."""
        old = DAYS.delete().where(DAYS.c.day < (now - KEPT_FOR).date().isoformat())
        with answering("old days of calls cannot be removed"), self._engine.begin() as connection:
            return connection.execute(old).rowcount

    def _make(self, day: date, now: datetime) -> dict[Whose, Day]:
        begin = datetime.combine(day, time(), UTC)
        found: dict[Whose, list[Fact]] = defaultdict(list)
        for call in calls(self._engine, since=begin, until=begin + _DAY):
            seen = fact(call)
            if seen is not None:
                found[call.tenant, call.project].append(seen)
        summaries = {whose: day_of(facts) for whose, facts in found.items()}
        if now >= begin + _DAY + COMPLETE:
            self._keep(day, summaries)
        return summaries

    def _keep(self, day: date, summaries: Mapping[Whose, Day]) -> None:
        texts = {_EVERYBODY: "", **{whose: _text(summary) for whose, summary in summaries.items()}}
        rows = [
            {"day": day.isoformat(), "tenant": tenant, "project": project, "document": text}
            for (tenant, project), text in sorted(texts.items())
        ]
        with answering("a day of calls cannot be kept"), self._engine.begin() as connection:
            connection.execute(_KEEP, rows)

    def _known(self, first: date, last: date) -> set[date]:
        query = sa.select(DAYS.c.day).where(_between(first, last), _of(_EVERYBODY))
        with answering("days of calls cannot be read"), reading(self._engine).begin() as connection:
            return {date.fromisoformat(day) for day in connection.execute(query).scalars()}

    def _kept(self, first: date, last: date, whose: Whose | None) -> dict[date, dict[Whose, Day]]:
        query = sa.select(DAYS).where(_between(first, last), DAYS.c.tenant != "" if whose is None else _of(whose))
        with answering("days of calls cannot be read"), reading(self._engine).begin() as connection:
            rows = connection.execute(query).all()
        found: dict[date, dict[Whose, Day]] = defaultdict(dict)
        for row in rows:
            found[date.fromisoformat(row.day)][row.tenant, row.project] = _day(row.document)
        return found


def _between(first: date, last: date) -> sa.ColumnElement[bool]:
    return sa.and_(DAYS.c.day >= first.isoformat(), DAYS.c.day < last.isoformat())


def _of(whose: Whose) -> sa.ColumnElement[bool]:
    return sa.and_(DAYS.c.tenant == whose[0], DAYS.c.project == whose[1])


def _text(day: Day) -> str:
    return json.dumps(asdict(day), separators=(",", ":"), allow_nan=False)


def _day(text: str) -> Day:
    try:
        found = json.loads(text)
        models = {
            name: ModelDay(
                one["calls"],
                one["refused"],
                {metric: Numbers(**numbers) for metric, numbers in one["numbers"].items()},
            )
            for name, one in found["models"].items()
        }
        return Day(found["groups"], models)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MaestroError(
            f"a kept day of calls cannot be read: {type(error).__name__}", next_step="report this; the row was changed"
        ) from None
