"""The server's home as the command line finds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import GlobalOptions

if TYPE_CHECKING:
    from maestro.server.home import ServerHome
    from maestro.server.projects import Projects

HOME_OPTION = click.option(
    "--home",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the server; $MAESTRO_SERVER_HOME, else ~/.local/share/maestro-server.",
)


def server_home(options: GlobalOptions, folder: Path | None) -> ServerHome:
    """The server's home.

    Raises:
        InputError: it cannot be made, its settings are wrong, or a profile was named that is not theirs.
    """
    from maestro.errors import InputError, Location
    from maestro.server.home import find_server
    from maestro.server.settings import FILE

    home = find_server(folder)
    if options.profile is not None and options.profile != home.settings.profile:
        raise InputError(
            f"this server has the profile '{home.settings.profile}'",
            where=Location(str(home.folder / FILE)),
            next_step=f"write 'profile: {options.profile}' there, and leave --profile out",
        )
    return home


def projects_of(home: ServerHome) -> Projects:
    """The server's registry of projects.

    Raises:
        MaestroError: its database does not answer.
    """
    from maestro.server.database import open_engine
    from maestro.server.projects import Projects

    return Projects(open_engine(home.database_url))


def gateway_url(home: ServerHome) -> str:
    """Where the gateway listens, as this machine reaches it."""
    from maestro.cli.programs import reachable

    gateway = home.settings.gateway
    return f"http://{reachable(gateway.host)}:{gateway.port}"


def web_url(home: ServerHome) -> str:
    """Where Dagster's web server listens, as this machine reaches it."""
    from maestro.cli.programs import reachable

    return f"http://{reachable(home.settings.web.host)}:{home.settings.web.port}"
