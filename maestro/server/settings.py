"""The server's own settings: ``server.yaml`` in its home; everything has a default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from maestro.notation.settings_file import read_settings_file
from maestro.server.references import Reference

FILE = "server.yaml"
DECISION_DAYS = 400
"""More than a year, so that an auditor of the last one finds why a model was chosen."""
Port = Annotated[int, Field(ge=0, le=65535)]
Places = Annotated[int, Field(ge=1, le=100_000)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GatewaySettings(_Settings):
    """Where webhooks are taken.

    Args:
        body_limit: bytes; GitHub sends up to 25 MB.
        secrets: of webhooks that belong to no single project (a GitHub App's); several while one is replaced.
    """

    host: str = "127.0.0.1"
    port: Port = 8085
    body_limit: int = Field(25 * 1024 * 1024, ge=1024)
    secrets: tuple[Reference, ...] = ()


class WebSettings(_Settings):
    """Where Dagster's web server is.

    Args:
        url: how people reach it, for links in checks and comments; None: no links.
    """

    host: str = "127.0.0.1"
    port: Port = 3000
    url: str | None = Field(None, pattern=r"^https?://")


class GitHubSettings(_Settings):
    """How GitHub is reached.

    Args:
        api: base URL of its REST API.
        app: id of the GitHub App; private_key: of the App, PEM.
        token: used where a project has no credentials of its own and no App is set up.
    """

    api: str = Field("https://api.github.com", pattern=r"^https?://")
    app: str | None = None
    private_key: Reference | None = None
    token: Reference | None = None


class LimitSettings(_Settings):
    """How many runs go on at once; None: no limit.

    Args:
        projects, tenants: limits of single ones, by name.
    """

    runs: Places | None = 25
    per_project: Places | None = None
    per_tenant: Places | None = None
    projects: dict[str, Places] = Field(default_factory=dict)
    tenants: dict[str, Places] = Field(default_factory=dict)


class LauncherSettings(_Settings):
    """How runs are started.

    Args:
        runs_per_worker: runs one worker process carries out at once.
        spare_workers: processes that wait, prepared, for the next run.
        memory_mb: address space a worker may have; None: no limit.
        nice: added to a worker's niceness.
        drain_seconds: what running runs are given to finish when the server stops; then they are resumed later.
        leave_seconds: what the steps of those are given after that, before they are cut off.
    """

    runs_per_worker: int = Field(1, ge=1, le=500)
    spare_workers: int = Field(1, ge=0, le=64)
    memory_mb: int | None = Field(None, ge=256)
    nice: int = Field(0, ge=0, le=19)
    drain_seconds: float = Field(30.0, ge=0)
    leave_seconds: float = Field(10.0, ge=0)


class ForkSettings(_Settings):
    """What runs of pull requests from forks get.

    Args:
        network: the network, where a step asks for it. It is this machine's own: strangers then reach what it reaches,
            Dagster's web server on the loopback address, which has no login, among it.
        step_seconds: how long a step may take, so that nobody can hold the server's places for ever.
    """

    network: bool = False
    step_seconds: float = Field(3600.0, gt=0)


class ModelSettings(_Settings):
    """What is kept of calls of language models.

    Args:
        decision_days: after which decisions are removed; None: never. Charges are not: they are the books.
    """

    decision_days: int | None = Field(DECISION_DAYS, ge=30, le=36_500)


class ServerSettings(_Settings):
    """All of ``server.yaml``.

    Args:
        profile: of Maestro and Dagster; ``single`` keeps everything in files of the home.
        database: URL of PostgreSQL, by reference; None: SQLite files in the home.
    """

    profile: str = "single"
    database: Reference | None = None
    gateway: GatewaySettings = GatewaySettings()
    web: WebSettings = WebSettings()
    github: GitHubSettings = GitHubSettings()
    limits: LimitSettings = LimitSettings()
    launcher: LauncherSettings = LauncherSettings()
    forks: ForkSettings = ForkSettings()
    models: ModelSettings = ModelSettings()


def read_settings(file: Path) -> ServerSettings:
    """The settings in ``file``; the defaults when there is none.

    Raises:
        InputError: it is not YAML, or a setting is unknown or wrong; with its place.
    """
    if not file.is_file():
        return ServerSettings()
    return read_settings_file(file, ServerSettings, "the server's settings")
