"""``maestro hooks``: the group; its commands are ``hooks_list``, ``hooks_show``, ``hooks_replay``."""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "list": "List webhooks that were taken, and what became of each.",
    "show": "Show one webhook: headers, body and what became of it.",
    "replay": "Have webhooks taken again.",
}


class _Hooks(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"hooks_{name}"


command: click.Command = _Hooks(
    name="hooks",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="List, show and replay the webhooks a server has taken.",
    example="maestro hooks list --state dead",
)
