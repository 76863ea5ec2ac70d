"""``maestro llm tokens``: the group; its commands are ``llm_tokens_add`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "add": "Make a token for one tenant and project; it is shown once.",
    "list": "List tokens, whom they charge, and whether they count.",
    "revoke": "Let a token stop counting now.",
}


class _Tokens(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"llm_tokens_{name}"


command: click.Command = _Tokens(
    name="tokens",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Add, list and revoke the tokens of the OpenAI-compatible endpoint.",
    example="maestro llm tokens add editor --project shop",
)
