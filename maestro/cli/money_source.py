"""Whose models and budgets a person means: the project's they are in, or a server's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.options import GlobalOptions
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.ledger.model import Attribution
    from maestro.ledger.store import Ledger
    from maestro.server.home import ServerHome

SERVER_HOME_OPTION = click.option(
    "--server-home",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A server's models and budgets; $MAESTRO_SERVER_HOME, else the project's own.",
)


@dataclass(frozen=True, slots=True)
class MoneyPlace:
    """Where models and budgets are, and who asks.

    Args:
        home: the project's state folder; the server's folder when there is no project.
        environ: the process's environment, with the server's home where there is one.
        root: top folder of the project's checkout.
        tenant: whom what is asked here is charged to.
        project: its name; None: only a server is known.
        server: None: the project's own ledger.
        profile: whose policies count, where it was named; a server has its own.
    """

    home: Path
    environ: Mapping[str, str]
    root: Path | None
    tenant: str
    project: str | None
    server: ServerHome | None
    profile: str | None = None

    @property
    def url(self) -> str:
        """The database of the ledger and of decisions."""
        from maestro.ledger.place import ledger_url

        return ledger_url(self.home, self.environ)

    @property
    def there(self) -> bool:
        """Whether anything was ever asked or granted here."""
        from maestro.ledger.place import is_there

        return is_there(self.home, self.environ)

    @property
    def actor(self) -> str:
        """Who acts."""
        from maestro.evidence.desk import actor_of

        return actor_of(self.environ)

    def attribution(self) -> Attribution:
        """Whom what is asked here is charged to.

        Raises:
            InputError: no project is known.
        """
        from maestro.ledger.model import Attribution

        return Attribution(self.tenant, self.required_project(), actor=self.actor)

    def required_project(self) -> str:
        """Name of the project.

        Raises:
            InputError: none is known.
        """
        if self.project is None:
            raise InputError(
                "which project is meant is not known: this folder belongs to none",
                next_step="run it inside a project's checkout, or name one with --project DIR",
            )
        return self.project

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, closed at the end.

        Raises:
            MaestroError: its database does not answer.
        """
        from maestro.ledger.store import Ledger

        self.make_home()
        with Ledger.open(self.url) as ledger:
            yield ledger

    def make_home(self) -> None:
        """Makes the project's state folder when it is not there."""
        if self.root is not None and self.server is None:
            from maestro.project import Project

            Project(self.root, self.root, self.home).ensure_home()


def place_of(options: GlobalOptions, server_home: Path | None) -> MoneyPlace:
    """The place a person means.

    Raises:
        InputError: there is neither a project nor a server, or the server's settings are wrong.
    """
    from maestro.execution.request import LOCAL_TENANT
    from maestro.server.home import HOME_VARIABLE, find_server

    environ: dict[str, str] = dict(os.environ)
    if server_home is None and not environ.get(HOME_VARIABLE):
        from maestro.cli.prepare import find_project
        from maestro.runs.project_name import project_name

        project = find_project(options)
        project.refuse_committed_state()
        return MoneyPlace(
            project.home, environ, project.root, LOCAL_TENANT, project_name(project), None, options.profile
        )
    server = find_server(server_home, environ)
    environ[HOME_VARIABLE] = str(server.folder)
    return _of_server(options, server, environ)


def _of_server(options: GlobalOptions, server: ServerHome, environ: Mapping[str, str]) -> MoneyPlace:
    from maestro.cli.prepare import find_project
    from maestro.cli.server_home import projects_of
    from maestro.runs.project_name import project_name

    try:
        project = find_project(options)
    except InputError:
        if options.project != Path():
            raise
        return MoneyPlace(server.folder, environ, None, "default", None, server)
    name = project_name(project)
    registered = projects_of(server).find(name)
    if registered is None:
        return MoneyPlace(server.folder, environ, None, "default", None, server)
    return MoneyPlace(server.folder, environ, project.root, registered.tenant, name, server)


def note(options: GlobalOptions, place: MoneyPlace, kind: str, object_: str, data: Mapping[str, Any]) -> None:
    """Writes a row of the audit log: the server's when it is about a server, else the project's.

    Done before what it tells of: what cannot be written down does not happen.

    Raises:
        MaestroError: the log does not take it.
    """
    if place.server is None:
        from maestro.cli.evidence_source import evidence_of

        with evidence_of(options) as source:
            source.desk.note(kind, object_, data)
        return
    from maestro.audit.of_server import note_on_server

    note_on_server(place.server.folder, kind, place.actor, object_, data)
