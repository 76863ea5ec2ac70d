"""``maestro budget``: the group; its commands are ``budget_show``, ``budget_set`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "show": "Show what was granted, spent and is left.",
    "set": "Grant an amount to a scope, for a reason.",
    "forecast": "Say how the month will end, and which days were out of line.",
    "export": "Write a month's charges as CSV or JSON lines, every cent attributed.",
    "events": "List the thresholds budgets have passed, and what cost more than was reserved.",
    "adjust": "Correct a charge to what the call really came to.",
    "check": "Compare sums, reservations and charges; exit code 1 when they differ.",
}


class _Budget(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"budget_{name}"


command: click.Command = _Budget(
    name="budget",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Budgets: what was granted and spent, how the month will end, and who spent every cent.",
    example="maestro budget show && maestro budget forecast",
)
