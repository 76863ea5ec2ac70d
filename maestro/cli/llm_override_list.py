"""``maestro llm override list``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from maestro.llm.state import Override


@example_command("list", example="maestro llm override list\nmaestro llm override list --all --json")
@click.option("--all", "everything", is_flag=True, help="Expired and revoked ones too.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, everything: bool, server_home: Path | None, as_json: bool) -> int:
    """List overrides and whether they count."""
    from maestro.cli.money_source import place_of
    from maestro.llm.overrides import OverrideStore, override_json

    now = datetime.now(UTC)
    with place_of(options, server_home).ledger() as ledger:
        found = OverrideStore(ledger.engine).list(at=None if everything else now)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"overrides": [{**override_json(one), "state": state(one, now)} for one in found]})
        return 0
    if not found:
        terminal.line("no overrides" if everything else "no override is in force")
        return 0
    heads = ("ID", "STATE", "ASKED FOR", "MODEL", "SCOPE", "UNTIL (UTC)", "BY", "REASON")
    rows = [
        (
            one.id,
            state(one, now),
            printable(one.target),
            printable(one.model) + (" only" if one.strict else ""),
            printable(one.scope),
            f"{one.expires:%Y-%m-%d %H:%M}",
            printable(one.actor),
            printable(one.reason),
        )
        for one in found
    ]
    for line in terminal.table(heads, rows):
        terminal.line(line)
    return 0


def state(override: Override, now: datetime) -> str:
    """``active``, ``expired`` or ``revoked``."""
    if override.revoked is not None:
        return "revoked"
    return "expired" if override.expires <= now else "active"
