"""What a server tells of its runs: puts it into the outbox, sends it, and knows with which credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import httpx
import sqlalchemy as sa

from maestro.github.access import GitHubAccess
from maestro.outbox import Outbox
from maestro.reporting.messages import APP_CHANNELS, TOKEN_CHANNELS, Channel, report_messages
from maestro.reporting.model import RunReport
from maestro.reporting.sending import Sender
from maestro.server.database import open_engine
from maestro.server.home import ServerHome
from maestro.server.projects import Projects, RegisteredProject
from maestro.server.wake import poke

CONDUCTOR = "conductor"


class Reporter:
    """Reports of one server. Close it when done.

    Args:
        engine: of the server's database; None: one of its own.
        transport: of all connections; None: the network.
    """

    def __init__(
        self,
        home: ServerHome,
        *,
        engine: sa.Engine | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Random | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._home = home
        self._clock = clock
        self._own = engine is None
        self._engine = engine if engine is not None else open_engine(home.database_url)
        self.outbox = Outbox(self._engine)
        self._projects = Projects(self._engine)
        self._sender = Sender(
            self.outbox,
            self._projects,
            home.settings.github,
            environ=environ,
            clock=clock,
            random=random,
            transport=transport,
        )

    @property
    def github(self) -> GitHubAccess:
        """What the server is allowed at GitHub."""
        return self._sender.github

    def channels(self, project: RegisteredProject) -> frozenset[Channel]:
        """How the project's provider is told: by what its credentials allow; not at all without any."""
        if project.provider == "gitlab":
            return TOKEN_CHANNELS if project.credentials else frozenset()
        if project.provider != "github" or not self.github.may_report(project):
            return frozenset()
        return APP_CHANNELS if self.github.uses_app(project) else TOKEN_CHANNELS

    def report(self, report: RunReport) -> int:
        """Puts what the report says into the outbox and wakes the conductor; safe to be done twice.

        Returns:
            Number of messages that are new.

        Raises:
            InputError: its project is not registered.
        """
        channels = self.channels(self._projects.get(report.project))
        if not channels:
            return 0
        report = replace(report, created=self._first_created(report))
        new = sum(self.outbox.put(message, self._clock()) for message in report_messages(report, channels))
        if new:
            poke(self._home, CONDUCTOR)
        return new

    def _first_created(self, report: RunReport) -> float:
        """When the run was created, as its first report said: by this it is put in order among other runs."""
        key = f"created/{report.run_id}"
        known = self.outbox.recall(report.project, key)
        if known is not None:
            return float(known)
        self.outbox.remember(report.project, key, repr(report.created), self._clock())
        return report.created

    def send_due(self, now: datetime | None = None, limit: int = 500) -> int:
        """Sends what is due; how many messages arrived. For the holder of the conductor's lease, in one thread."""
        return self._sender.send_due(now, limit)

    def close(self) -> None:
        """Closes its connections."""
        self._sender.close()
        if self._own:
            self._engine.dispose()
