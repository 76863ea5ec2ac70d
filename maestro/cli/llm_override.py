"""``maestro llm override``: the group; its commands are ``llm_override_add`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "add": "Send a target to one model until a day, for a reason.",
    "list": "List overrides and whether they count.",
    "revoke": "Let an override stop counting now.",
}


class _Override(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"llm_override_{name}"


command: click.Command = _Override(
    name="override",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Send a target to one model for a while, for a reason.",
    example="maestro llm override add cheap gpt-4o-mini --expires 7d --reason 'the other one misses imports'",
)
