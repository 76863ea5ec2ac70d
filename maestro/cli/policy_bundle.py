"""``maestro policy bundle``: the group; its commands are ``policy_bundle_build``, ``policy_bundle_verify`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "build": "Build a bundle from a folder of policies: the same content, the same bytes.",
    "verify": "Check the signature of a bundle, and that its policies can be used.",
    "show": "Show version, digest, files and rules of a bundle.",
}


class _Bundle(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"policy_bundle_{name}"


command: click.Command = _Bundle(
    name="bundle",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Build, verify and show bundles of policies.",
    example="maestro policy bundle build policies --output policies.tar.gz --sign",
)
