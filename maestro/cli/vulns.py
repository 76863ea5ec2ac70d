"""``maestro vulns``: the group; its commands are ``vulns_update``, ``vulns_scan`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "update": "Bring the advisory database up to date.",
    "status": "Show what the advisory database has, and how old it is.",
    "scan": "Look the components of an SBOM up in the advisory database.",
    "affected": "Show which revisions, images and environments a vulnerability is in.",
}


class _Vulns(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"vulns_{name}"


command: click.Command = _Vulns(
    name="vulns",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Known vulnerabilities: the advisory database, scans, and where a vulnerability is.",
    example="maestro vulns affected CVE-2021-44228",
)
