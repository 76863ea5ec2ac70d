"""``maestro projects show``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION
from maestro.cli.terminal import Terminal


@example_command("show", example="maestro projects show shop\nmaestro projects show shop --json")
@click.argument("name")
@HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, name: str, home: Path | None, as_json: bool) -> int:
    """Show one project, and what to enter as its webhook."""
    from maestro.cli.projects_source import described, webhook_advice
    from maestro.cli.server_home import projects_of, server_home

    server = server_home(options, home)
    project = projects_of(server).get(name)
    terminal = Terminal(options)
    about = described(server, project)
    if as_json:
        terminal.json(about)
        return 0
    columns = max(map(len, about)) + 2
    for key, value in about.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        terminal.line(f"{key.replace('_', ' '):{columns}}{'-' if shown in (None, '') else shown}")
    for line in webhook_advice(server, project):
        terminal.line(line)
    return 0
