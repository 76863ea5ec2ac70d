"""Keeps decisions and what became of them, in the database of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import InputError, MaestroError
from maestro.ledger.operations import Companion
from maestro.ledger.transaction import write
from maestro.llm import retention
from maestro.llm.decision_documents import decision_from, decision_text, outcome_from, outcome_text
from maestro.llm.decision_id import decision_id
from maestro.llm.decision_lines import line_of
from maestro.llm.decision_tables import CALLS, DECISIONS, METADATA
from maestro.llm.model import Answer, Attempt, Decision, NoModelError
from maestro.server.database import first_line, make_tables, reading
from maestro.server.removal import always

Named = Literal["run", "step", "route", "model"]
_PAGE = 500
_JOINED = DECISIONS.outerjoin(CALLS, CALLS.c.decision == DECISIONS.c.id)


def _writes(table: sa.Table, conflict: str) -> str:
    # SQLite and PostgreSQL spell it alike, and SQLAlchemy's own statement takes ten times as long to be made.
    names = [column.name for column in table.columns]
    places = ", ".join("?" * len(names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places}) ON CONFLICT {conflict}"


_INSERT = _writes(DECISIONS, "(id) DO NOTHING")
_UPSERT = _writes(
    CALLS,
    "(decision) DO UPDATE SET "
    + ", ".join(f"{column.name} = excluded.{column.name}" for column in CALLS.columns if column.name != "decision"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision.

    Args:
        state: ``answered``, ``cached``, ``failed``, ``refused`` (a content filter, or no candidate was left),
            ``cancelled``.
        error: one sentence; empty when it was answered.
        attempts: calls of models, the one that answered last.
    """

    decision: str
    at: datetime
    state: str
    model: str = ""
    provider: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    cost_nano: int = 0
    seconds: float = 0.0
    first_token: float = 0.0
    finish: str = ""
    error: str = ""
    attempts: tuple[Attempt, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision and its outcome; None: the call is not over, or its process died."""

    decision: Decision
    outcome: Outcome | None


class DecisionStore:
    """Decisions in a database; its tables are made when they are not there.

    Args:
        engine: one of ``maestro.server.database.open_engine``, best the ledger's.

    Raises:
        MaestroError: the database does not answer.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        """Of the database they are in."""
        make_tables(engine, METADATA)

    def keep(self, decision: Decision, outcome: Outcome | None = None) -> None:
        """Keeps a decision that nothing is reserved for, in a transaction of its own.

        Raises:
            MaestroError: the database does not answer.
        """
        with answering("the decision cannot be kept"), self.engine.begin() as connection:
            write(connection, [decision_row(decision), *([] if outcome is None else [outcome_row(outcome)])])

    def get(self, id: str) -> Kept:
        """The decision ``id``, or the only one whose id begins so; ``last``: the newest.

        Raises:
            InputError: there is none, or more than one.
            RemovedDecisionError: there may have been one, and such old ones were removed.
        """
        query = _query().limit(2 if id != "last" else 1)
        if id == "last":
            query = query.order_by(DECISIONS.c.at.desc(), DECISIONS.c.id.desc())
        else:
            # Ids are ASCII; what is not has no successor that a range could end with.
            if not id.isascii() or not id:
                raise _none_such(id)
            query = query.where(DECISIONS.c.id >= id, DECISIONS.c.id < f"{id}\x7f").order_by(DECISIONS.c.id)
        with answering("decisions cannot be read"), reading(self.engine).begin() as connection:
            rows = connection.execute(query).all()
            if not rows:
                retention.require_kept(connection, id)
        exact = [row for row in rows if row[0] == id]
        if len(rows) > 1 and not exact:
            raise InputError(
                f"more than one decision begins with '{id}'", next_step="give more of its id (`maestro llm decisions`)"
            )
        if not rows:
            raise _none_such(id)
        return _kept((exact or rows)[0])

    def list(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tenant: str | None = None,
        project: str | None = None,
        pull_request: int | None = None,
        run: str | None = None,
        step: str | None = None,
        model: str | None = None,
        route: str | None = None,
        state: str | None = None,
        limit: int | None = 100,
    ) -> Iterator[Kept]:
        """Decisions, the newest first, read page by page.

        Args:
            model: the one that answered, or where nothing is known of an answer the chosen one.
            state: of the outcome; ``open``: there is none.

        Raises:
            MaestroError: the database does not answer.
        """
        query = _query()
        if since is not None:
            query = query.where(DECISIONS.c.at >= since.timestamp())
        given: dict[str, Any] = {
            "tenant": tenant,
            "project": project,
            "pull_request": pull_request,
            "run": run,
            "step": step,
            "route": route,
        }
        for name, value in given.items():
            if value is not None:
                query = query.where(DECISIONS.c[name] == value)
        if model is not None:
            query = query.where(sa.func.coalesce(sa.func.nullif(CALLS.c.model, ""), DECISIONS.c.chosen) == model)
        if state is not None:
            query = query.where(CALLS.c.decision.is_(None) if state == "open" else CALLS.c.state == state)
        return map(_kept, self._pages(query, limit, None if until is None else (until.timestamp(), "")))

    def lines(self, *, since: datetime, until: datetime | None = None, project: str | None = None) -> Iterator[str]:
        """The lines they are exported as and were audited as, without their ends, the newest first.

        Raises:
            MaestroError: the database does not answer, or what is kept of a decision was changed and cannot be read.
        """
        query = _query().where(DECISIONS.c.at >= since.timestamp())
        if project is not None:
            query = query.where(DECISIONS.c.project == project)
        return map(_line, self._pages(query, None, None if until is None else (until.timestamp(), "")))

    def lines_of(self, ids: Iterable[str]) -> Iterator[str]:
        """Those of ``ids`` that are there, sorted by id; raises as :meth:`lines`."""
        rest = iter(sorted(ids))
        while part := list(islice(rest, _PAGE)):
            with answering("decisions cannot be read"), reading(self.engine).begin() as connection:
                rows = connection.execute(_query().where(DECISIONS.c.id.in_(part))).all()
            yield from map(_line, sorted(rows, key=lambda row: str(row[0])))

    def names(self, what: Named, project: str | None = None) -> tuple[str, ...]:
        """Every run, step, route or model that decisions are of, sorted.

        Args:
            what: of ``model``: that answered or was chosen.
            project: of this one only.

        Raises:
            MaestroError: the database does not answer.
        """
        columns = [DECISIONS.c.chosen, CALLS.c.model] if what == "model" else [DECISIONS.c[what]]
        found: set[str | None] = set()
        with answering("decisions cannot be read"), reading(self.engine).begin() as connection:
            for column in columns:
                query = sa.select(column).distinct().select_from(_JOINED if what == "model" else DECISIONS)
                if project is not None:
                    query = query.where(DECISIONS.c.project == project)
                found |= set(connection.execute(query).scalars())
        return tuple(sorted(one for one in found if one))

    def newest_run(self, project: str | None = None) -> str | None:
        """The run that asked last; None: none has.

        Raises:
            MaestroError: the database does not answer.
        """
        query = sa.select(DECISIONS.c.run).where(DECISIONS.c.run.is_not(None)).order_by(DECISIONS.c.at.desc()).limit(1)
        if project is not None:
            query = query.where(DECISIONS.c.project == project)
        with answering("decisions cannot be read"), reading(self.engine).begin() as connection:
            return connection.execute(query).scalar()

    def older(self, before: datetime) -> int:
        """How many were made before then.

        Raises:
            MaestroError: the database does not answer.
        """
        query = sa.select(sa.func.count()).select_from(DECISIONS).where(DECISIONS.c.at < before.timestamp())
        with answering("decisions cannot be counted"), reading(self.engine).begin() as connection:
            return connection.execute(query).scalar_one()

    def prune(self, days: int, *, now: datetime | None = None, go_on: Callable[[], bool] = always) -> int:
        """Removes decisions made longer ago than so many days, with what became of them; how many.

        Args:
            go_on: asked before each small transaction; False leaves the rest for another time.

        Raises:
            MaestroError: the database does not answer.
        """
        before = (now or datetime.now(UTC)) - timedelta(days=days)
        with answering("old decisions cannot be removed"):
            return retention.remove_decisions(self.engine, before, days=days, go_on=go_on)

    def prune_findings(self) -> int:
        """Removes what was found of deployments and means nothing any more; how many.

        Raises:
            MaestroError: the database does not answer.
        """
        with answering("old findings of deployments cannot be removed"):
            return retention.remove_findings(self.engine)

    def _pages(self, query: sa.Select[Any], limit: int | None, after: tuple[float, str] | None) -> Iterator[Any]:
        # By place, and not with a cursor held open: a reader who thinks must not keep a transaction.
        # The end of the time is a place too: beside it, SQLite would look for each page from there.
        query = query.order_by(DECISIONS.c.at.desc(), DECISIONS.c.id.desc())
        left = limit
        while left is None or left > 0:
            page = query.limit(_PAGE if left is None else min(_PAGE, left))
            if after is not None:
                page = page.where(
                    sa.tuple_(DECISIONS.c.at, DECISIONS.c.id) < sa.tuple_(sa.literal(after[0]), sa.literal(after[1]))
                )
            with answering("decisions cannot be read"), reading(self.engine).begin() as connection:
                rows = connection.execute(page).all()
            yield from rows
            if len(rows) < _PAGE:
                return
            after = (rows[-1][1], rows[-1][0])
            left = None if left is None else left - len(rows)


def decision_row(decision: Decision) -> Companion:
    """What keeps ``decision``, to be written in the ledger's transaction. Keeping it twice keeps it once."""
    who = decision.attribution
    return Companion(
        _INSERT,
        (
            decision.id,
            decision.at.timestamp(),
            *(who.tenant, who.project, who.pull_request, who.run, who.step, who.actor),
            *(decision.target, decision.route, decision.chosen),
            decision_text(decision),
        ),
    )


def outcome_row(outcome: Outcome) -> Companion:
    """What keeps ``outcome``, to be written in the ledger's transaction. A second one takes its place."""
    return Companion(
        _UPSERT,
        (
            outcome.decision,
            outcome.at.timestamp(),
            *(outcome.state, outcome.model, outcome.cost_nano),
            outcome_text(outcome),
        ),
    )


def outcome_of(
    decision: Decision, answer: Answer | None, *, error: BaseException | None = None, at: datetime | None = None
) -> Outcome:
    """The outcome of ``decision``, from the answer, or from what happened in its place."""
    moment = at or datetime.now(UTC)
    if answer is not None:
        return Outcome(
            decision=decision.id,
            at=moment,
            state="cached" if answer.cached else "refused" if answer.finish == "content_filter" else "answered",
            model=answer.model,
            provider=answer.provider,
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            cached_tokens=answer.usage.cached_tokens,
            estimated=answer.usage.estimated,
            cost_nano=answer.cost_nano,
            seconds=answer.seconds,
            first_token=answer.first_token,
            finish=answer.finish,
            attempts=answer.attempts,
        )
    refused = isinstance(error, NoModelError) or getattr(error, "kind", "") == "refused"
    # asyncio.CancelledError, KeyboardInterrupt and GeneratorExit are no Exception: somebody stopped it.
    cancelled = error is not None and not isinstance(error, Exception)
    told = error.what if isinstance(error, MaestroError) else type(error).__name__ if error is not None else ""
    if cancelled:
        told = "whoever asked stopped it"
    attempts = getattr(error, "attempts", ())
    return Outcome(
        decision=decision.id,
        at=moment,
        state="cancelled" if cancelled else "refused" if refused else "failed",
        error=told,
        cost_nano=getattr(error, "cost_nano", 0) or 0,
        attempts=tuple(one for one in attempts if isinstance(one, Attempt)),
    )


def _query() -> sa.Select[Any]:
    return sa.select(DECISIONS.c.id, DECISIONS.c.at, DECISIONS.c.document, CALLS.c.document.label("call")).select_from(
        _JOINED
    )


def _kept(row: Any) -> Kept:
    call = row[3]
    return Kept(decision_from(row[2]), None if call is None else Outcome(**outcome_from(call)))


def _line(row: Any) -> str:
    try:
        return line_of(row[2], row[3])
    except ValueError:
        raise MaestroError(
            f"the decision {row[0]} cannot be read",
            next_step="its row was changed; see `maestro llm decisions --verify`",
        ) from None


def _none_such(id: str) -> InputError:
    shown = id if len(id) <= 60 else f"{id[:59]}…"
    return InputError(f"there is no decision '{shown}'", next_step="list them with `maestro llm decisions`")


class answering:  # noqa: N801 - reads as a word in a `with`
    """Turns the database's errors into Maestro's."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, SQLAlchemyError):
            raise MaestroError(
                f"{self._what}: {first_line(error)}", next_step="check that the ledger's database can be reached"
            ) from error


__all__ = ["DecisionStore", "Kept", "Outcome", "decision_id", "decision_row", "outcome_of", "outcome_row"]
