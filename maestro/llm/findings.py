"""What was found last of each deployment, in the ledger's database: it is down, or its circuit breaker opened.

Advice between gateways, and no budget: who cannot read or write it goes on without.
"""

from __future__ import annotations

import functools
import hashlib
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import sqlalchemy as sa

from maestro.llm.catalogue import Model
from maestro.llm.decision_tables import FINDINGS
from maestro.server.database import database_now, reading

Kind = Literal["health", "breaker"]
HEALTH: Kind = "health"
BREAKER: Kind = "breaker"
HEALTH_SECONDS = 60.0
"""What a look at a deployment's health found holds for so long."""

_COLUMNS = [one.name for one in FINDINGS.columns]
_UPSERT = sa.text(
    f"INSERT INTO {FINDINGS.name} ({', '.join(_COLUMNS)}) "
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "
    "ON CONFLICT (deployment, kind) DO UPDATE SET "
    + ", ".join(f"{one.name} = excluded.{one.name}" for one in FINDINGS.columns if not one.primary_key)
    # Of two breakers that opened at the same time the longer one counts; of two looks the last one.
    + f" WHERE excluded.kind = '{HEALTH}' OR excluded.until >= {FINDINGS.name}.until"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Args:
        deployment: as :func:`deployment_of` names it.
        id: of this finding; another one of the same deployment has another id.
        seconds: until its time is over; below 0: it is. A breaker's deployment is tried by one call then.
        kept: seconds until it means nothing any more.
        failures, opened: of a breaker: in a row; asked: seconds the provider asked to be left alone.
    """

    deployment: str
    kind: Kind
    id: str
    reason: str
    seconds: float
    kept: float
    failures: int = 0
    opened: int = 0
    asked: float | None = None


class FindingStore:
    """Findings in the database of a ``DecisionStore``, which makes the table. Times are by the database's clock."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def current(self) -> tuple[Finding, ...]:
        """Those that mean something now.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        with reading(self._engine).begin() as connection:
            now = database_now(connection)
            query = sa.select(FINDINGS, now.label("now")).where(FINDINGS.c.forgotten > now)
            return tuple(
                Finding(
                    *(row.deployment, row.kind, row.id, row.reason),
                    *(row.until - row.now, row.forgotten - row.now),
                    *(row.failures, row.opened, row.asked),
                )
                for row in connection.execute(query)
            )

    def put(self, finding: Finding) -> None:
        """Keeps it, in place of an older one of this kind; a breaker that is open for longer stays.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        with self._engine.begin() as connection:
            now = connection.execute(sa.select(database_now(connection))).scalar_one()
            row = {
                **{name: getattr(finding, name) for name in _COLUMNS if hasattr(finding, name)},
                "until": now + finding.seconds,
                "forgotten": now + finding.kept,
            }
            connection.execute(_UPSERT, row)

    def remove(self, ids: Sequence[str]) -> None:
        """Removes findings by their ids.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        with self._engine.begin() as connection:
            connection.execute(FINDINGS.delete().where(FINDINGS.c.id.in_(ids)))


def deployment_of(model: Model, key: str | None) -> str:
    """What two gateways call alike only if they ask the same endpoint for the same model with the same key.

    An address of the own machine means another one on another machine. Of the key, which may be refused where another
    is not, two bytes of a digest go in: too few to say anything of it.
    """
    told = _digest(model.provider, model.kind, model.wire_model, model.api_base, _here(model.api_base), key)
    return f"{model.name}@{told}"


def _here(api_base: str | None) -> str:
    host = urlsplit(api_base or "").hostname or ""
    own = host in ("localhost", "::1", "0.0.0.0", "host.docker.internal") or host.startswith("127.")
    return socket.gethostname() if own else ""


@functools.lru_cache(maxsize=1024)
def _digest(*told: str | None) -> str:
    *rest, key = told
    mark = "" if key is None else hashlib.sha256(key.encode()).hexdigest()[:4]
    return hashlib.sha256(json.dumps([*rest, mark]).encode()).hexdigest()[:16]
