"""What a server tidies up in quiet times: commits nobody needs any more, checkouts of runs that are gone, old hooks."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

import dagster as dg

from maestro.errors import MaestroError
from maestro.inbox import Inbox
from maestro.mirror import remove_worktree
from maestro.runs.tags import CHECKOUT_TAG, PARTITION_TAG, WORKFLOW_REVISION_TAG
from maestro_defs.reports import Reports
from maestro_defs.server import Server

EVERY_SECONDS = 3600.0
COMMITS_KEPT = timedelta(days=14)
CHECKOUTS_KEPT = timedelta(days=1)
"""Of a folder no unfinished run names: somebody may be making its run just now."""
WEBHOOKS_KEPT = timedelta(days=90)
_GOING_ON = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_log = logging.getLogger("maestro.upkeep")


class Upkeep:
    """Tidies up when it is time to."""

    def __init__(self, server: Server, instance: dg.DagsterInstance, reports: Reports) -> None:
        self._server = server
        self._instance = instance
        self._reports = reports
        self._due = time.monotonic() + EVERY_SECONDS

    def look(self) -> None:
        """Does it, once an hour; what cannot be tidied up is told and left."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        tidy_up(self._server, self._instance)
        self._reports.tidy_up()


def tidy_up(server: Server, instance: dg.DagsterInstance) -> None:
    """Lets go of what nobody needs; all of it can be had again, but for old webhooks."""
    now = datetime.now(UTC)
    going_on = instance.get_runs(dg.RunsFilter(statuses=_GOING_ON))
    recent = instance.get_runs(dg.RunsFilter(created_after=now - COMMITS_KEPT))
    runs = [*going_on, *recent]
    commits = {run.tags[tag] for run in runs for tag in (PARTITION_TAG, WORKFLOW_REVISION_TAG) if tag in run.tags}
    for project in server.projects.all():
        try:
            server.mirror(project).prune(commits)
        except MaestroError as error:
            _log.warning("the mirror of %s cannot be tidied up: %s", project.name, error.what)
    used = {run.tags[CHECKOUT_TAG].partition(" ")[2] for run in going_on if CHECKOUT_TAG in run.tags}
    for folder in server.home.worktrees.iterdir():
        age = now.timestamp() - folder.stat().st_mtime
        if str(folder) not in used and age > CHECKOUTS_KEPT.total_seconds():
            remove_worktree(folder)
    inbox = Inbox(server.home.inbox_url)
    try:
        inbox.prune(now - WEBHOOKS_KEPT)
    finally:
        inbox.close()
