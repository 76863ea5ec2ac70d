"""``maestro keys``: the group; its commands are ``keys_list``, ``keys_show`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "list": "List the keys whose signatures this project trusts.",
    "show": "Show one trusted key with its public key.",
    "rotate": "Make or trust a new key and retire the one it replaces.",
    "retire": "Refuse what a key signs from now on; its old signatures still verify.",
    "revoke": "Refuse everything a key ever signed.",
    "export": "Write public keys, for those who verify elsewhere.",
    "import": "Trust a public key, a signer's key, or the keys of another trust file.",
}


class _Keys(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"keys_{name}"


command: click.Command = _Keys(
    name="keys",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="List, rotate, retire, revoke, export and import the keys evidence is signed with.",
    example="maestro keys list",
)
