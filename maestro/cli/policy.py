"""``maestro policy``: the group; its commands are ``policy_test``, ``policy_eval`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "test": "Run the tests of policies, with coverage.",
    "eval": "Ask a policy about an input document; exit code 1 is a deny.",
    "explain": "Show every rule that spoke, and what would have to change.",
    "bundle": "Build, verify and show bundles of policies.",
}


class _Policy(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"policy_{name}"


command: click.Command = _Policy(
    name="policy",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Test, ask and bundle the policies gates decide by.",
    example="maestro policy test policies --min-coverage 90",
)
