"""GitHub as a Dagster resource: what sensors tell of runs, and tokens to fetch source with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from maestro.github.access import GitHubAccess, installation_token
from maestro.reporting import RunReport
from maestro.reporting.reporter import Reporter
from maestro.server.home import ServerHome, find_server
from maestro.server.projects import RegisteredProject

GITHUB = "github"


class GitHubResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # Its argument is for resources that make another.
    """The server's way to GitHub and GitLab, by the settings in its home."""

    home: str | None = Field(None, description="Folder of the server; MAESTRO_SERVER_HOME when not given.")

    @contextmanager
    def reporter(self) -> Iterator[Reporter]:
        """A reporter, closed at the end."""
        reporter = Reporter(self._server())
        try:
            yield reporter
        finally:
            reporter.close()

    def report(self, report: RunReport) -> int:
        """Puts what the report says into the outbox; number of messages that are new.

        Raises:
            InputError: its project is not registered.
        """
        with self.reporter() as reporter:
            return reporter.report(report)

    def installation_token(self, project: RegisteredProject) -> str:
        """A token git can fetch the project's source with.

        Raises:
            GitHubError: GitHub gives none.
            InputError: there are no credentials, or they cannot be read.
        """
        access = GitHubAccess(self._server().settings.github)
        try:
            return installation_token(project, access)
        finally:
            access.close()

    def _server(self) -> ServerHome:
        return find_server(self.home)
