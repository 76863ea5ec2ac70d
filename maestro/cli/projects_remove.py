"""``maestro projects remove``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION
from maestro.cli.terminal import Terminal


@example_command("remove", example="maestro projects remove shop")
@click.argument("name")
@HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, name: str, home: Path | None, as_json: bool) -> int:
    """Forget a project; what it has delivered stays.

    Its webhooks are refused from then on. Runs that go on are not stopped. Its mirror, its folder with keys, artifacts
    and audit log, and a secret that `projects add` has made stay where they are.
    """
    from maestro.cli.projects_source import made_secret
    from maestro.cli.server_home import projects_of, server_home
    from maestro.cli.server_supervisor import SUPERVISOR
    from maestro.server.wake import poke

    server = server_home(options, home)
    projects_of(server).remove(name)
    poke(server, SUPERVISOR)
    kept = [
        str(one)
        for one in (server.mirrors / f"{name}.git", server.projects / name, made_secret(server, name))
        if one.exists()
    ]
    terminal = Terminal(options)
    if as_json:
        terminal.json({"removed": name, "kept": kept})
        return 0
    terminal.line(f"removed {name}; remove its webhook at the provider as well")
    for path in kept:
        terminal.line(f"  kept {path}")
    return 0
