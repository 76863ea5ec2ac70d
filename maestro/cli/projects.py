"""``maestro projects``: the group; its commands are ``projects_add``, ``projects_list`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "add": "Register a repository, whose pushes and pull requests then become runs.",
    "list": "List the projects a server delivers.",
    "show": "Show one project, and what to enter as its webhook.",
    "remove": "Forget a project; what it has delivered stays.",
}


class _Projects(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"projects_{name}"


command: click.Command = _Projects(
    name="projects",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Add, list, show and remove the projects a server delivers.",
    example="maestro projects add https://github.com/acme/shop.git",
)
