"""``maestro llm serve``."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.errors import InputError


@example_command(
    "serve",
    example="""maestro llm tokens add editor     # once
maestro llm serve --port 8086
maestro llm serve --server-home /srv/maestro""",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address of this machine's own."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8086, show_default=True, help="Port; 0: any.")
@SERVER_HOME_OPTION
@pass_options
def command(options: GlobalOptions, host: str, port: int, server_home: Path | None) -> NoReturn:
    """Serve OpenAI's API on this machine, spending under the same budgets.

    Other tools use it with OPENAI_BASE_URL and a token as OPENAI_API_KEY. A server's gateway serves the same under /v1
    as soon as it has a token.
    """
    from maestro.cli.llm_tokens_source import tokens_of
    from maestro.cli.money_source import place_of
    from maestro.llm.opening import catalogue_for

    _check_loopback(host)
    place = place_of(options, server_home)
    tokens = tokens_of(place)
    if not tokens.all():
        raise InputError("nobody could use it: there is no token", next_step="maestro llm tokens add NAME")
    # On a server each token is under what the default branch of its own project says, whatever is checked out here.
    root = place.root if place.server is None else None
    # What is wrong with models.yaml is told now, not to the first who asks.
    catalogue_for(root, place.environ)
    place.make_home()
    arguments = ["-m", "maestro.gateway.llm_program", "--home", str(tokens.path.parent), "--host", host]
    arguments += ["--port", str(port)]
    if root is not None:
        arguments += ["--workspace", str(root)]
    if place.profile is not None:
        arguments += ["--profile", place.profile]
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # In place of this process, so that signals and the exit code are its own.
    os.execve(sys.executable, [sys.executable, *arguments], dict(place.environ))


def _check_loopback(host: str) -> None:
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise InputError(
            f"'{host}' is no address of this machine alone: tokens would cross the network unencrypted",
            next_step="leave --host out, or use a server's gateway behind a proxy with TLS",
        )
