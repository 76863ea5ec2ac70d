"""``maestro projects list``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION
from maestro.cli.terminal import Terminal


@example_command("list", example="maestro projects list\nmaestro projects list --json")
@HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, home: Path | None, as_json: bool) -> int:
    """List the projects a server delivers."""
    from maestro.cli.projects_source import described
    from maestro.cli.server_home import projects_of, server_home

    server = server_home(options, home)
    found = projects_of(server).all()
    terminal = Terminal(options)
    if as_json:
        terminal.json({"home": str(server.folder), "projects": [described(server, one) for one in found]})
        return 0
    if not found:
        terminal.line(f"no project is registered in {server.folder}; maestro projects add URL")
        return 0
    rows = [(one.name, one.tenant, one.provider, one.repository, one.default_branch or "", one.url) for one in found]
    for line in terminal.table(("NAME", "TENANT", "PROVIDER", "REPOSITORY", "BRANCH", "URL"), rows):
        terminal.line(line)
    return 0
