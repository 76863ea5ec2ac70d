"""Looks once an hour whether the models of a server's projects drift, and tells of each alert once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from maestro.audit.of_server import note_on_server
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.llm.decisions import DecisionStore
from maestro.llm.drift import DriftAlert
from maestro.llm.watching import ToldAlerts, drift_by_project
from maestro.server.home import HOME_VARIABLE
from maestro_defs.drift_views import observation
from maestro_defs.models import Charged
from maestro_defs.server import Server

EVERY_SECONDS = 3600.0
AUDIT_KIND = "llm.drift"
_log = logging.getLogger("maestro.models")


class DriftWatch:
    """Of one conductor's term.

    Args:
        now: the clock.
    """

    def __init__(
        self, server: Server, instance: dg.DagsterInstance, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._server = server
        self._instance = instance
        self._now = now
        self._due = time.monotonic()

    def look(self) -> int:
        """Tells of what has drifted in the last day and nobody was told of yet; how much that was.

        An alert is told in the log, in the server's audit log, and as an observation on ``llm/health`` of its project.

        Raises:
            MaestroError: the ledger or the audit log does not answer. What was not told is told the next time.
        """
        if time.monotonic() < self._due:
            return 0
        self._due = time.monotonic() + EVERY_SECONDS
        home = self._server.home.folder
        url = ledger_url(home, {HOME_VARIABLE: str(home)})
        told = 0
        with Ledger.open(url) as ledger:
            alerts = ToldAlerts(ledger.engine)
            now = self._now()
            for whose, found in drift_by_project(DecisionStore(ledger.engine), now=now).items():
                for one in alerts.fresh(whose, found.alerts, now):
                    self._tell(whose, one)
                    alerts.told(whose, one, now)
                    told += 1
        return told

    def _tell(self, whose: tuple[str, str], alert: DriftAlert) -> None:
        tenant, name = whose
        _log.warning("%s/%s: %s", tenant, name, alert.sentence)
        data = {
            "metric": alert.metric,
            "subject": alert.subject,
            "above": alert.above,
            "now": alert.shown(alert.value),
            "usual": f"{alert.shown(alert.low)} to {alert.shown(alert.high)}",
            "calls": alert.calls,
        }
        note_on_server(self._server.home.folder, AUDIT_KIND, "maestro", f"{tenant}/{name}", data)
        project = self._server.projects.find(name)
        if project is not None and project.tenant == tenant:
            key = Charged(self._server.project(project), name, tenant, (name,)).key("health")
            self._instance.report_runless_asset_event(observation(key, alert))
