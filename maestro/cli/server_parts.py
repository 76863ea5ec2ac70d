"""The programs a server consists of: how each is started, and how it is known to be ready."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from maestro.cli import dagster_program
from maestro.cli.programs import answers, socket_answers
from maestro.cli.server_home import gateway_url, web_url
from maestro.errors import MaestroError
from maestro.server.database import open_engine
from maestro.server.home import HOME_VARIABLE, ServerHome
from maestro.server.leases import Leases

GATEWAY, LAUNCHER, CONDUCTOR, WEB, DAEMON = "gateway", "launcher", "conductor", "web", "daemon"
ALL = (GATEWAY, LAUNCHER, CONDUCTOR, WEB, DAEMON)
PROJECT_VARIABLE = "MAESTRO_SERVER_PROJECT"
_GATEWAY_SECONDS = 10.0
_CONDUCTOR_SECONDS = 10.0
_SHORT_SECONDS = 1.0
"""Dagster's programs take this long whatever it is; all they have is in the database."""
_CUT_OFF_SECONDS = 15.0
"""After the time to drain and to leave the warm server kills workers that do not end."""
_PROBE_SECONDS = 1.0
_PERSONS_OWN = ("MAESTRO_PROJECT", "MAESTRO_FILE", "MAESTRO_HOME")
"""Variables about one checkout; a server has many projects."""


@dataclass(frozen=True, slots=True)
class Part:
    """One program of the server.

    Args:
        name: also of its log, without slashes.
        arguments: behind ``python``.
        environment: all of it.
        ready: whether it does its work by now.
        about: where people find it; empty when nowhere.
        first: whether it is started before the rest, which waits until it is ready.
        leaving: place in the order of stopping; equal ones stop together.
        seconds: what it is given to stop.
        essential: whether there is no server without it.
        died: what to do when the process of this id has died, before it is started again.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    about: str = ""
    first: bool = False
    leaving: int = 3
    seconds: float = _SHORT_SECONDS
    essential: bool = True
    died: Callable[[int], None] = lambda _pid: None

    def log(self, home: ServerHome) -> Path:
        """The file it writes to."""
        return home.logs / f"{self.name.replace('/', '-')}.log"


def environment_of(home: ServerHome) -> dict[str, str]:
    """What every program of the server gets.

    Raises:
        InputError: the database's reference leads nowhere.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _PERSONS_OWN}
    environment[HOME_VARIABLE] = str(home.folder)
    environment["DAGSTER_HOME"] = str(home.dagster)
    environment["MAESTRO_PROFILE"] = home.settings.profile
    shared = home.shared_database
    if shared is not None:
        # The profiles' dagster.yaml names this variable.
        environment.setdefault("MAESTRO_POSTGRES_URL", shared)
    # Dagster asks for news of itself otherwise.
    environment.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def part_of(home: ServerHome, name: str, workspace: Path) -> Part:
    """The program called ``name``, one of ``ALL``.

    Args:
        workspace: where the code servers are listed, for Dagster's own programs.

    Raises:
        InputError: a setting is wrong.
    """
    environment = environment_of(home)
    settings = home.settings
    own = ("--home", str(home.folder))
    if name == GATEWAY:
        url = gateway_url(home)
        return Part(
            name,
            ("-m", "maestro.gateway", *own),
            environment,
            lambda: answers(f"{url}/readyz", _PROBE_SECONDS),
            about=f"webhooks    {url}/hooks/github/PROJECT and {url}/hooks/gitlab/PROJECT",
            first=True,
            leaving=0,
            seconds=_GATEWAY_SECONDS,
        )
    if name == CONDUCTOR:
        lease = _ConductorsLease(home)
        return Part(
            name,
            ("-m", "maestro_defs.conductor", *own),
            environment,
            lease.held,
            leaving=1,
            seconds=_CONDUCTOR_SECONDS,
            died=lease.free,
        )
    if name == LAUNCHER:
        socket = home.sockets / "warm.sock"
        return Part(
            name,
            ("-m", "maestro_defs.warm", *own),
            environment,
            lambda: socket_answers(socket),
            first=True,
            leaving=2,
            seconds=settings.launcher.drain_seconds + settings.launcher.leave_seconds + _CUT_OFF_SECONDS,
        )
    if name == WEB:
        url = web_url(home)
        web = settings.web
        return Part(
            name,
            dagster_program.words("dagster_webserver", "-h", web.host, "-p", str(web.port), "-w", str(workspace)),
            environment,
            lambda: answers(f"{url}/server_info", _PROBE_SECONDS),
            about=f"Dagster     {url}",
        )
    # A daemon that runs has nothing to answer with; its heartbeats are shown by the web server.
    daemon = dagster_program.words("dagster._daemon", "run", "-w", str(workspace))
    return Part(name, daemon, environment, lambda: True)


class _ConductorsLease:
    """The lease of the conductors on one database."""

    def __init__(self, home: ServerHome) -> None:
        self._url = home.database_url
        self._opened: Leases | None = None

    @property
    def _leases(self) -> Leases:
        if self._opened is None:
            self._opened = Leases(open_engine(self._url))
        return self._opened

    def held(self) -> bool:
        """Whether somebody has it: this server's conductor, or another's, for which this one stands by."""
        try:
            return self._leases.holding(CONDUCTOR) is not None
        except MaestroError:
            return False

    def free(self, pid: int) -> None:
        """Ends the term of this machine's conductor, whose process is known to be gone, so the next need not wait."""
        holder = f"{os.uname().nodename} {pid}"
        try:
            holding = self._leases.holding(CONDUCTOR)
            if holding is not None and holding.holder == holder:
                lease = self._leases.take_over(holding, f"{holder} ended", 1.0)
                if lease is not None:
                    self._leases.release(lease)
        except MaestroError:
            return  # It runs out by itself.
