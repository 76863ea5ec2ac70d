"""What a server does about models' calls: decisions go into its audit log every minute, and once a day it lets go of
reservations, crossings, decisions and answers; never of charges.

Everything goes in small transactions, so that calls go on meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maestro.artifacts import ArtifactStore
from maestro.audit.of_server import ServerAudit, note_on_server
from maestro.errors import MaestroError
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.llm.answers import prune_answers
from maestro.llm.auditing import DecisionAudit
from maestro.llm.days import DaySummaries
from maestro.llm.decisions import DecisionStore
from maestro.llm.retention import REMOVED_KIND
from maestro.server.home import HOME_VARIABLE
from maestro.server.removal import always
from maestro_defs.server import Server

FIRST_SECONDS = 3600.0
EVERY_SECONDS = 86_400.0
AUDIT_SECONDS = 60.0
ENDED = timedelta(minutes=1)
"""How long ago a call has ended whose decision goes into the log."""
_log = logging.getLogger("maestro.upkeep")


class ModelUpkeep:
    """Of one conductor's term.

    Args:
        go_on: asked before each small step; False leaves the rest for the next term.
    """

    def __init__(self, server: Server, go_on: Callable[[], bool]) -> None:
        self._server = server
        self._go_on = go_on
        self._due = time.monotonic() + FIRST_SECONDS
        self._audit_due = time.monotonic()

    def look(self) -> None:
        """Audits what is due every minute, and tidies up once a day.

        Raises:
            MaestroError: the ledger or the audit log does not answer; what is not audited then is the next time.
        """
        try:
            self._audit()
        finally:
            self._tidy_up()

    def _audit(self) -> None:
        if time.monotonic() < self._audit_due:
            return
        self._audit_due = time.monotonic() + AUDIT_SECONDS
        home = self._server.home.folder
        with Ledger.open(ledger_url(home, {HOME_VARIABLE: str(home)})) as ledger:
            audit_decisions(self._server, ledger, self._go_on)

    def _tidy_up(self) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        tidy_up_models(self._server, datetime.now(UTC), self._go_on)


def audit_decisions(server: Server, ledger: Ledger, go_on: Callable[[], bool] = always, *, whole: bool = False) -> int:
    """Brings decisions of calls that have ended into the server's audit log, of runs and of the endpoint; how many.

    Args:
        whole: looks at all there are, not only at those since the last look.

    Raises:
        MaestroError: the ledger or the audit log does not answer.
    """
    with ServerAudit(server.home.folder, "maestro") as log:
        return DecisionAudit(ledger.engine, lambda: log).rest(after=ENDED, whole=whole, go_on=go_on)


def tidy_up_models(server: Server, now: datetime, go_on: Callable[[], bool] = always) -> None:
    """Lets go of what nobody needs; what cannot be let go of is told and left, and the rest goes on."""
    home = server.home.folder
    try:
        with Ledger.open(ledger_url(home, {HOME_VARIABLE: str(home)})) as ledger:
            gone = ledger.prune(go_on=go_on)
            if gone.reservations or gone.crossings:
                _log.info("removed %d reservations and %d crossings", gone.reservations, gone.crossings)
            decisions = DecisionStore(ledger.engine)
            decisions.prune_findings()
            # What was never audited could be removed by anybody, unseen.
            audit_decisions(server, ledger, go_on, whole=True)
            _tidy_up_decisions(server, decisions, now, go_on)
            DaySummaries(ledger.engine).prune(now)
    except MaestroError as error:
        _log.warning("the ledger cannot be tidied up: %s", error.what)
    for store in _stores(server):
        try:
            prune_answers(store, now, go_on=go_on)
        except MaestroError as error:
            _log.warning("kept answers cannot be tidied up: %s", error.what)


def _tidy_up_decisions(server: Server, decisions: DecisionStore, now: datetime, go_on: Callable[[], bool]) -> None:
    days = server.home.settings.models.decision_days
    if days is None:
        return
    before = now - timedelta(days=days)
    number = decisions.older(before)
    if not number:
        return
    # Written down first: what cannot be written down does not happen.
    data = {"decisions": number, "days": days, "before": before.isoformat(timespec="seconds")}
    note_on_server(server.home.folder, REMOVED_KIND, "maestro", "decisions", data)
    _log.info("removed %d decisions", decisions.prune(days, now=now, go_on=go_on))


def _stores(server: Server) -> Iterator[ArtifactStore]:
    """The stores with answers, each once: that of the endpoint, and those of the projects, which may be one."""
    seen: set[str] = set()
    endpoint: Path = server.home.folder / "artifacts"
    if endpoint.is_dir():
        yield ArtifactStore.open(str(endpoint))
    for project in server.projects.all():
        try:
            store = server.store(project)
        except MaestroError as error:
            _log.warning("kept answers of %s cannot be tidied up: %s", project.name, error.what)
            continue
        if store.url not in seen:
            seen.add(store.url)
            yield store
