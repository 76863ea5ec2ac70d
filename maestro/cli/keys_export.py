"""``maestro keys export``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.keys_source import complete_key, project_keys
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.output_file import write_output
from maestro.cli.terminal import Terminal
from maestro.errors import InputError


@example_command(
    "export",
    example="""maestro keys export > trust.yaml                # all of them, with their times
maestro keys export release -o release.pem      # one, as openssl and cosign read it""",
)
@click.argument("name", required=False, metavar="[NAME|KEYID]", shell_complete=complete_key)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Where to; standard output if not given."
)
@pass_options
def command(options: GlobalOptions, name: str | None, output: Path | None) -> int:
    """Write public keys, for those who verify elsewhere.

    One key as PEM, or all as a trust file. Private keys are never written.
    """
    from maestro.signing.trust_file import dump

    trust = project_keys(options).trust()
    if name is None and not trust.keys:
        raise InputError("no key is trusted", next_step="make one with `maestro keys rotate`")
    text = dump(trust).decode("utf-8") if name is None else trust.find(name).public_key
    write_output(Terminal(options), text, output)
    return 0
