"""What is asked of many calls at once, read from columns: no decision's document is parsed for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSON

from maestro.llm.decision_tables import CALLS, DECISIONS
from maestro.llm.decisions import answering
from maestro.server.database import reading

_PAGE = 5000


@dataclass(frozen=True, slots=True)
class Call:
    """A decision and what became of it, as far as many of them are compared.

    Args:
        at: seconds since 1970.
        group: the route, or what was asked for where there is none.
        model: that answered; where nothing is known of an answer, the chosen one.
        state: of the outcome; None: it is not over, or its process died.
        seconds: None where no outcome says it.
    """

    at: float
    tenant: str
    project: str
    group: str
    model: str
    state: str | None
    cost_nano: int | None
    seconds: float | None


def calls(
    engine: sa.Engine, *, since: datetime, until: datetime, tenant: str | None = None, project: str | None = None
) -> Iterator[Call]:
    """The calls decided from ``since`` to before ``until``, the oldest first, read page by page.

    Raises:
        MaestroError: the database does not answer.
    """
    columns = (
        DECISIONS.c.at,
        DECISIONS.c.tenant,
        DECISIONS.c.project,
        sa.func.coalesce(sa.func.nullif(DECISIONS.c.route, ""), DECISIONS.c.target),
        sa.func.coalesce(sa.func.nullif(CALLS.c.model, ""), DECISIONS.c.chosen, ""),
        CALLS.c.state,
        CALLS.c.cost_nano,
        _seconds(engine),
        DECISIONS.c.id,
    )
    query = (
        sa.select(*columns)
        .select_from(DECISIONS.outerjoin(CALLS, CALLS.c.decision == DECISIONS.c.id))
        .where(DECISIONS.c.at < until.timestamp())
        .order_by(DECISIONS.c.at, DECISIONS.c.id)
        .limit(_PAGE)
    )
    if tenant is not None:
        query = query.where(DECISIONS.c.tenant == tenant)
    if project is not None:
        query = query.where(DECISIONS.c.project == project)
    after = (since.timestamp(), "")
    while True:
        place = sa.tuple_(DECISIONS.c.at, DECISIONS.c.id) > sa.tuple_(*map(sa.literal, after))
        with answering("decisions cannot be read"), reading(engine).begin() as connection:
            rows = connection.execute(query.where(place)).all()
        for row in rows:
            yield Call(*row[:8])
        if len(rows) < _PAGE:
            return
        after = (rows[-1][0], rows[-1][8])


def _seconds(engine: sa.Engine) -> sa.ColumnElement[Any]:
    """Taken out of the outcome's document by the database itself."""
    if engine.dialect.name == "postgresql":
        return sa.cast(sa.cast(CALLS.c.document, JSON)["seconds"].astext, sa.Double)
    return sa.func.json_extract(CALLS.c.document, "$.seconds")
