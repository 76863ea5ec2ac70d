"""An audit log in a folder, and decisions that are brought into it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from maestro.audit import AuditLog
from maestro.audit.event import Entry
from maestro.audit.of_server import ServerAudit, read_on_server
from maestro.errors import MaestroError
from maestro.ledger.model import Attribution
from maestro.llm.audit_check import verify_decisions
from maestro.llm.audit_report import DecisionsReport
from maestro.llm.auditing import DecisionAudit
from maestro.llm.decisions import DecisionStore, decision_id, outcome_of
from tests.unit.llm_world import answer, ask

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclasses.dataclass
class Audited:
    """Decisions in ``engine`` and the log in ``folder``.

    Args:
        now: what the clock shows.
    """

    engine: sa.Engine
    folder: Path
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.store = DecisionStore(self.engine)

    def call(self, *, run: str | None = "run1", minutes: float = 0, ended: bool = True, **changes: Any) -> str:
        """A decision made so long ago, answered at once unless it is open; its id."""
        at = self.now - timedelta(minutes=minutes)
        who = Attribution("acme", "app", 7, run, "review", "ada")
        made = dataclasses.replace(ask("all"), id=decision_id(at), at=at, **{"attribution": who, **changes})
        self.store.keep(made, outcome_of(made, answer(made), at=at) if ended else None)
        return made.id

    def audit(self, journal: Any = None) -> DecisionAudit:
        """What brings them into the log."""
        return DecisionAudit(self.engine, lambda: journal or Kept(self.folder), lambda: self.now)

    def entries(self) -> list[Entry]:
        """Those of the log."""
        if not (self.folder / "audit.db").exists():
            return []
        with read_on_server(self.folder) as log:
            return list(log.entries())

    def verify(self) -> DecisionsReport:
        """As ``maestro llm verify`` does."""
        with read_on_server(self.folder) as log:
            return verify_decisions(self.engine, log, now=self.now)

    def change(self, statement: str, **values: Any) -> None:
        """What somebody does who can write to the database."""
        with self.engine.begin() as connection:
            assert connection.execute(sa.text(statement), values).rowcount


class Kept:
    """The log of a folder; it closes after each entry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def audit(self) -> AuditLog:
        """The log."""
        return ServerAudit(self.folder, "ada").audit

    def note(self, kind: str, object_: str, data: Mapping[str, Any]) -> int:
        """Writes an entry."""
        with ServerAudit(self.folder, "ada") as log:
            return log.note(kind, object_, data)


class Refusing(Kept):
    """A log that takes nothing."""

    def note(self, kind: str, object_: str, data: Mapping[str, Any]) -> int:
        """Refuses."""
        raise MaestroError("the audit log does not answer")


class Dying(Kept):
    """A process that dies when the entry is there, and before it could note that."""

    def note(self, kind: str, object_: str, data: Mapping[str, Any]) -> int:
        """Writes an entry, and that is the last it does."""
        super().note(kind, object_, data)
        raise KeyboardInterrupt
