"""``maestro keys retire``."""

from __future__ import annotations

import click

from maestro.cli.keys_source import complete_key, project_keys
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("retire", example="maestro keys retire release-2026")
@click.argument("name", metavar="NAME|KEYID", shell_complete=complete_key)
@pass_options
def command(options: GlobalOptions, name: str) -> int:
    """Refuse what a key signs from now on; its old signatures still verify.

    When somebody else may have the key, revoke it: the time of a signature is what the signer says.
    """
    key = project_keys(options).retire(name)
    Terminal(options).line(f"'{key.name}' is retired: what it signs from now on is refused")
    return 0
