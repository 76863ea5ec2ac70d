"""``maestro audit``: the group; its commands are ``audit_show``, ``audit_verify`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "show": "List what was decided, signed, waived and deleted, the newest last.",
    "verify": "Recompute the whole log and name every row that was changed.",
    "prove": "Write a proof that an entry is in the log, or check a proof offline.",
    "export": "Write entries as JSON lines or CEF, or forward them to a SIEM.",
    "checkpoint": "Sign and keep what the log is now.",
    "consistency": "Prove that the log of today begins with the log of an earlier checkpoint.",
}


class _Audit(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"audit_{name}"


command: click.Command = _Audit(
    name="audit",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Read, verify, prove and export the audit log.",
    example="maestro audit show && maestro audit verify",
)
