"""``maestro prompts``: the group; its commands are ``prompts_list``, ``prompts_render`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "list": "List the prompts of this project and those of Maestro.",
    "render": "Show what a prompt asks with these variables.",
    "test": "Run the tests of prompts; nothing is asked of a model.",
    "diff": "Show what changed in a prompt, and whether its version says so.",
}


class _Prompts(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"prompts_{name}"


command: click.Command = _Prompts(
    name="prompts",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="List, render, test and compare the prompts models are asked with.",
    example="maestro prompts test",
)
