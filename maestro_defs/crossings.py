"""Tells of budgets of a server that pass a threshold: on the asset of the spend of every project they concern."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

import dagster as dg

from maestro.ledger.model import Crossing
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.runs.tags import PROJECT_TAG
from maestro.server.home import HOME_VARIABLE
from maestro.server.projects import RegisteredProject
from maestro_defs.models import Charged
from maestro_defs.server import Server
from sensors.budgets import level_of, observation, sentence

EVERY_SECONDS = 15.0
_log = logging.getLogger("maestro.budgets")


class Crossings:
    """The thresholds nobody was told of yet; of one conductor's term.

    Args:
        every: seconds from one look to the next.
    """

    def __init__(self, server: Server, instance: dg.DagsterInstance, *, every: float = EVERY_SECONDS) -> None:
        self._server = server
        self._every = every
        self._instance = instance
        self._ledger: Ledger | None = None
        self._due = time.monotonic()
        self._untold: deque[Crossing] = deque()

    def look(self) -> int:
        """Tells what there is to tell, and has reservations of the dead settled; how much it told.

        Raises:
            MaestroError: the ledger does not answer.
        """
        if time.monotonic() < self._due:
            return 0
        self._due = time.monotonic() + self._every
        ledger = self._opened()
        for lost in ledger.expire():
            _log.warning("the reservation %s is %s: %s", lost.id, lost.state, lost.reason)
        for one in ledger.take_crossings():
            _log.log(level_of(one), "%s", sentence(one))
            self._untold.append(one)
        projects = self._server.projects.all() if self._untold else []
        told = 0
        while self._untold:
            self._tell(self._untold[0], projects)
            # Nobody else is given it again, so it stays until Dagster has it.
            self._untold.popleft()
            told += 1
        return told

    def _tell(self, crossing: Crossing, projects: Sequence[RegisteredProject]) -> None:
        for project in self._concerned(crossing, projects):
            key = Charged(self._server.project(project), project.name, project.tenant, (project.name,)).key("spend")
            self._instance.report_runless_asset_event(observation(key, crossing))

    def close(self) -> None:
        """Closes the ledger."""
        if self._ledger is not None:
            self._ledger.close()

    def _opened(self) -> Ledger:
        if self._ledger is None:
            home = self._server.home.folder
            self._ledger = Ledger.open(ledger_url(home, {HOME_VARIABLE: str(home)}))
        return self._ledger

    def _concerned(self, crossing: Crossing, projects: Sequence[RegisteredProject]) -> list[RegisteredProject]:
        scope = crossing.scope
        if scope.kind == "tenant":
            return [one for one in projects if one.tenant == scope.name]
        if scope.kind in ("run", "step"):
            run = self._instance.get_run_by_id(scope.name.partition("/")[0])
            name = None if run is None else run.tags.get(PROJECT_TAG)
            # Of what is no run of this server, as of a tool that names one of its own, the log alone tells.
            return [one for one in projects if one.name == name]
        owner = scope.name.partition("#")[0]
        return [one for one in projects if f"{one.tenant}/{one.name}" == owner]
