"""``maestro evidence``: the group; its commands are ``evidence_show``, ``evidence_verify`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "show": "Show the signed evidence of a revision or of one artifact.",
    "verify": "Verify the evidence of a revision, or an evidence pack, offline.",
    "diff": "Compare the SBOMs of two revisions: components, licences, vulnerabilities.",
    "export": "Write the evidence pack of a revision, which a stranger can verify.",
    "quarantine": "List what must not be used, set something aside, or release it.",
    "hold": "Place or lift a legal hold on the evidence of a revision.",
    "controls": "Report which SOC 2 and ISO 27001 controls the evidence of a revision covers.",
}


class _Evidence(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"evidence_{name}"


command: click.Command = _Evidence(
    name="evidence",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Show, verify, compare and export signed evidence; set artifacts aside.",
    example="maestro evidence show && maestro evidence export -o evidence.tar.zst",
)
