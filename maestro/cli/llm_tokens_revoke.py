"""``maestro llm tokens revoke``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command("revoke", example="maestro llm tokens revoke editor --reason 'the laptop is gone'")
@click.argument("token", metavar="ID-OR-NAME")
@click.option("--reason", required=True, metavar="TEXT", help="Why it stops counting, in one line.")
@SERVER_HOME_OPTION
@pass_options
def command(options: GlobalOptions, token: str, reason: str, server_home: Path | None) -> int:
    """Let a token stop counting now.

    Requests that are on their way are finished.
    """
    from maestro.cli.llm_tokens_source import tokens_of
    from maestro.cli.money_source import note, place_of
    from maestro.ledger.names import checked_text

    place = place_of(options, server_home)
    checked_text("reason", reason.strip())
    # It ends first: nobody loses by a token that ends without a row.
    found, counted = tokens_of(place).revoke(token, datetime.now(UTC))
    terminal = Terminal(options)
    if not counted:
        terminal.line(f"{printable(found.name)} was revoked before")
        return 0
    note(options, place, "llm.token.revoked", found.id, {"name": found.name, "reason": reason.strip()})
    terminal.line(f"{printable(found.name)} ({found.id}) does not count any more")
    return 0
