"""``maestro waivers``: the group; its commands are ``waivers_add``, ``waivers_list`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "add": "Let a named finding pass until a day, for a reason, signed.",
    "list": "List waivers and whether they count.",
    "revoke": "Let a waiver stop counting now.",
}


class _Waivers(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"waivers_{name}"


command: click.Command = _Waivers(
    name="waivers",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Let named findings pass for a time, signed and audited.",
    example="maestro waivers add CVE-2026-1234 --expires 30d --reason 'not reachable from our code'",
)
