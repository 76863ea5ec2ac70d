"""What the server is allowed at GitHub, project by project, by its settings."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import httpx

from maestro.errors import InputError
from maestro.github.app import AppCredentials, InstallationCredentials, Installations, TokenCredentials
from maestro.github.comments import Author, token_author
from maestro.github.rest import TIMEOUT, Credentials, RestClient
from maestro.server.projects import RegisteredProject
from maestro.server.references import read_reference
from maestro.server.settings import GitHubSettings

APP = "app"
"""What a project has as its credentials when it uses the server's App."""


class GitHubAccess:
    """Clients and tokens for projects; tokens of the App are shared by all who ask here. Close it when done.

    A project uses its own token, else the App, else the server's token.
    """

    def __init__(
        self,
        settings: GitHubSettings,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._http = httpx.Client(timeout=TIMEOUT, transport=transport)
        self._lock = threading.Lock()
        self._installations: Installations | None = None
        self._clients: dict[tuple[str, str | None, int | None], RestClient] = {}
        self._authors: dict[tuple[str, str | None, int | None], Author] = {}

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def uses_app(self, project: RegisteredProject) -> bool:
        """Whether it is the App that speaks for the project; only an App may write check runs."""
        return self._reference(project) == APP

    def may_report(self, project: RegisteredProject) -> bool:
        """Whether there are credentials for it at all."""
        return self._reference(project) is not None

    def client(self, project: RegisteredProject) -> RestClient:
        """A client that speaks for the project.

        Raises:
            InputError: there are no credentials for it, or they cannot be read.
        """
        key = self._key(project)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = RestClient(
                    self._settings.api, self._credentials(project), self._http, clock=self._clock
                )
            return self._clients[key]

    def author(self, project: RegisteredProject) -> Author:
        """Who the project's comments are by.

        Raises:
            GitHubError: GitHub did not say.
        """
        if self.uses_app(project):
            return Author(app=self._settings.app)
        key = self._key(project)
        if key not in self._authors:
            self._authors[key] = token_author(self.client(project))
        return self._authors[key]

    def fetch_token(self, project: RegisteredProject) -> str | None:
        """A token git can fetch the project's source with; None when there are no credentials.

        The App's can read this one repository and nothing else, for an hour at most.

        Raises:
            GitHubError: GitHub gives none.
            InputError: the credentials cannot be read.
        """
        reference = self._reference(project)
        if reference is None:
            return None
        if reference == APP:
            return self._app().token(project.repository, project.installation, read_only=True)
        return read_reference(reference, self._environ)

    def _key(self, project: RegisteredProject) -> tuple[str, str | None, int | None]:
        return project.repository, self._reference(project), project.installation

    def _reference(self, project: RegisteredProject) -> str | None:
        if project.credentials is not None:
            return project.credentials
        if self._settings.app is not None and self._settings.private_key is not None:
            return APP
        return self._settings.token

    def _credentials(self, project: RegisteredProject) -> Credentials:
        reference = self._reference(project)
        if reference is None:
            raise InputError(
                f"there are no credentials for project '{project.name}' at GitHub",
                next_step="set up a GitHub App or a token under `github` in server.yaml",
            )
        if reference == APP:
            return InstallationCredentials(self._app(), project.repository, project.installation)
        return TokenCredentials(lambda: read_reference(reference, self._environ))

    def _app(self) -> Installations:
        app, key = self._settings.app, self._settings.private_key
        if app is None or key is None:
            raise InputError(
                "the server has no GitHub App",
                next_step="give `app` and `private_key` under `github` in server.yaml",
            )
        if self._installations is None:
            credentials = AppCredentials(app, lambda: read_reference(key, self._environ), self._clock)
            self._installations = Installations(self._settings.api, credentials, self._http, self._clock)
        return self._installations


def installation_token(project: RegisteredProject, access: GitHubAccess) -> str:
    """A token to fetch the project's source with.

    Raises:
        GitHubError: GitHub gives none.
        InputError: there are no credentials, or they cannot be read.
    """
    token = access.fetch_token(project)
    if token is None:
        raise InputError(
            f"there are no credentials for project '{project.name}' at GitHub",
            next_step="set up a GitHub App or a token under `github` in server.yaml",
        )
    return token
