"""Brings what an endpoint on one machine was asked into the project's audit log; on a server its conductor does."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from maestro.errors import MaestroError

EVERY_SECONDS = 300.0
_ENDED = timedelta(minutes=1)
_log = logging.getLogger("maestro.models")


@contextmanager
def audited(workspace: Path, profile: str | None) -> Iterator[None]:
    """While it lasts every few minutes what has ended, at the end everything."""
    over = threading.Event()

    def now_and_then() -> None:
        while not over.wait(EVERY_SECONDS):
            audit_project(workspace, profile, _ENDED)

    thread = threading.Thread(target=now_and_then, name="llm-audit", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        audit_project(workspace, profile, timedelta(0))


def audit_project(workspace: Path, profile: str | None, after: timedelta) -> None:
    """Brings decisions of calls that ended so long ago into the log; what cannot be brought there is told and left.

    Args:
        workspace: a folder of the project.
        profile: says where the log is; None: as ``MAESTRO_PROFILE`` says.
    """
    from maestro.artifacts import ArtifactStore
    from maestro.execution.open_desk import open_desk
    from maestro.ledger.place import is_there, ledger_url
    from maestro.ledger.store import Ledger
    from maestro.llm.auditing import DecisionAudit
    from maestro.profile import load_profile
    from maestro.project import Project
    from maestro.runs.project_name import project_name

    try:
        project = Project.find(workspace)
        if not is_there(project.home):
            return
        found = load_profile(profile)
        store = ArtifactStore.open(found.settings.artifacts or str(project.home / "artifacts"))
        desk = open_desk(project, project_name(project), found, store, os.environ)
        with contextlib.closing(desk), Ledger.open(ledger_url(project.home)) as ledger:
            DecisionAudit(ledger.engine, lambda: desk).rest(after=after)
    except (MaestroError, OSError) as error:
        # A full disk has room again some day; until then the decisions wait in the ledger's database.
        reason = error.what if isinstance(error, MaestroError) else str(error)
        _log.warning("why models were asked is not in the audit log yet: %s", reason)
