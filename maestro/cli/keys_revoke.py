"""``maestro keys revoke``."""

from __future__ import annotations

import click

from maestro.cli.keys_source import complete_key, project_keys
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("revoke", example="maestro keys revoke release-2026 --reason 'the laptop was stolen'")
@click.argument("name", metavar="NAME|KEYID", shell_complete=complete_key)
@click.option("--reason", required=True, metavar="TEXT", help="Why; shown wherever its signatures are refused.")
@pass_options
def command(options: GlobalOptions, name: str, reason: str) -> int:
    """Refuse everything a key ever signed.

    It cannot be taken back. Evidence it signed has to be made again with another key.
    """
    key = project_keys(options).revoke(name, reason=reason)
    Terminal(options).line(f"'{key.name}' is revoked: nothing it signed is accepted any more")
    return 0
