"""What a server's runs have to tell where their authors work: read from Dagster's storage, put into the outbox.

It looks at runs that have changed since it last looked. A report that was made before is not made again, so it may look
at a run twice, and another process may look at the same time.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord

from maestro.artifacts import RecordStore, StepRecord
from maestro.errors import MaestroError
from maestro.inbox import Outcomes
from maestro.reporting.collecting import report_of, run_url
from maestro.reporting.components import compare_components
from maestro.reporting.model import ComponentsReport, RunReport
from maestro.reporting.refused import invalid_report
from maestro.reporting.reporter import Reporter
from maestro.runs.fold import plain_view
from maestro.runs.reading import get_run
from maestro.runs.tags import BASE_TAG, DELIVERY_TAG, PROJECT_TAG
from maestro.server.projects import RegisteredProject
from maestro_defs.dispatch import Told
from maestro_defs.local_reader import LocalReader
from maestro_defs.run_views import record_of
from maestro_defs.server import Server
from maestro_defs.trust import run_id_of

_CURSOR = "reports"
_OVERLAP = timedelta(seconds=5)
"""Two processes write runs with clocks and commits of their own; what was seen already is told apart."""
_AT_ONCE = 200
_MESSAGES_KEPT = timedelta(days=30)
_REMEMBERED = 10_000
_log = logging.getLogger("maestro.reports")


class Reports:
    """Reports of one server; close it when done."""

    def __init__(self, server: Server, instance: dg.DagsterInstance) -> None:
        self._server = server
        self._instance = instance
        self._reporter = Reporter(server.home, engine=server.engine)
        self._outcomes = Outcomes(server.engine)
        # A first conductor begins with what happens from now on.
        at = self._outcomes.cursor(_CURSOR)
        self._since = datetime.fromtimestamp(at / 1000, UTC) if at else datetime.now(UTC)
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def tell(self, told: Told) -> None:
        """Puts into the outbox what the sender of a delivery is to hear before any run says something."""
        if not self._reporter.channels(told.project):
            return
        wanted = told.wanted
        if told.error is not None:
            run_id = run_id_of(told.delivery, "", wanted.sha)
            number = wanted.pull_request
            refused = invalid_report(
                told.project, wanted.sha, run_id, told.error, created=time.time(), pull_request=number
            )
            self._reporter.report(refused)
            return
        self._reporter.report(
            RunReport(
                project=told.project.name,
                repository=told.project.repository,
                provider=told.project.provider,
                sha=wanted.sha,
                run_id=told.run.run_id if told.run else run_id_of(told.delivery, "", wanted.sha),
                workflow=told.workflow,
                state=told.state,
                created=time.time(),
                reason=told.reason,
                url=run_url(self._server.home.settings.web.url, told.run.run_id) if told.run else None,
                pull_request=wanted.pull_request,
            )
        )

    def look(self) -> int:
        """Reports runs that have changed since the last look; how many."""
        done = 0
        filters = dg.RunsFilter(updated_after=self._since - _OVERLAP)
        records = self._instance.get_run_records(filters, limit=_AT_ONCE, order_by="update_timestamp", ascending=True)
        for record in records:
            run = record.dagster_run
            key = (run.run_id, run.status.value)
            if key in self._seen:
                continue
            if DELIVERY_TAG in run.tags and run.status not in (
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.QUEUED,
                dg.DagsterRunStatus.STARTING,
            ):
                self._report(record)
                done += 1
            self._seen[key] = None
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        if records:
            newest = records[-1].update_timestamp.replace(tzinfo=UTC)
            # A full page of what was seen already must not keep it from going on.
            self._since = newest + _OVERLAP if len(records) == _AT_ONCE and not done else newest
            self._outcomes.set_cursor(_CURSOR, int(newest.timestamp() * 1000))
        return done

    def send_due(self) -> int:
        """Sends what is due; how many messages arrived."""
        return self._reporter.send_due()

    def tidy_up(self) -> None:
        """Forgets what was sent long ago."""
        self._reporter.outbox.prune(datetime.now(UTC) - _MESSAGES_KEPT)

    def close(self) -> None:
        """Closes its connections."""
        self._reporter.close()

    def _report(self, record: RunRecord) -> None:
        run = record.dagster_run
        project = self._server.projects.find(run.tags.get(PROJECT_TAG, ""))
        if project is None or not self._reporter.channels(project):
            return
        url = self._server.home.settings.web.url
        if not run.is_finished:
            self._reporter.report(report_of(plain_view(record_of(record)), project, run.tags, url=url))
            return
        view = get_run(LocalReader(self._instance, project.name), run.run_id)
        store = self._server.store(project)
        records = RecordStore(store).of_run(run.run_id)
        components = self._components(project, run, records)
        self._reporter.report(
            report_of(view, project, run.tags, url=url, records=records, store=store, components=components)
        )

    def _components(
        self, project: RegisteredProject, run: dg.DagsterRun, records: list[StepRecord]
    ) -> tuple[ComponentsReport, ...]:
        base = run.tags.get(BASE_TAG)
        if base is None:
            return ()
        store = self._server.store(project)
        try:
            before = RecordStore(store).steps_of_revision(project.name, base)
            return compare_components(store, before, records, base)
        except MaestroError as error:
            _log.warning("the components of run %s cannot be compared: %s", run.run_id, error.what)
            return ()
