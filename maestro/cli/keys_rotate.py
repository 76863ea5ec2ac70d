"""``maestro keys rotate``."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import click

from maestro.cli.keys_source import complete_key, described, project_keys, read_until
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal
from maestro.errors import InputError


@example_command(
    "rotate",
    example="""maestro keys rotate                                      # a new development key
maestro keys rotate release --to awskms:///alias/release-2027 --name release-2027""",
)
@click.argument("old", required=False, metavar="[NAME|KEYID]", shell_complete=complete_key)
@click.option("--to", "signer", metavar="URI", help="Signer whose key replaces it: file:, pkcs11:, awskms:, …")
@click.option("--name", metavar="NAME", help="Name of the new key.")
@click.option("--valid-until", metavar="DATE", help="When the new key expires.")
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    old: str | None,
    signer: str | None,
    name: str | None,
    valid_until: str | None,
    as_json: bool,
) -> int:
    """Make or trust a new key and retire the one it replaces.

    What the old key has signed still verifies. Without a name it is the development key, whose private part goes.
    """
    keys = project_keys(options)
    if old is None:
        if signer or name or valid_until:
            raise InputError(
                "this does not say which key is replaced",
                next_step="name it: maestro keys rotate NAME --to URI --name NEW-NAME",
            )
        new = keys.rotate_development(environ=os.environ)
    else:
        if not signer or not name:
            raise InputError(
                "a new key needs a signer and a name",
                next_step=f"say both: maestro keys rotate {old} --to URI --name NEW-NAME",
            )
        from maestro.signing import open_signer
        from maestro.signing.project_keys import trusted

        opened = open_signer(signer, environ=os.environ)
        new = keys.rotate(
            old,
            trusted(
                opened.public_key,
                name=name,
                at=datetime.now(UTC),
                valid_until=read_until(valid_until),
                development=opened.development,
            ),
        )
    terminal = Terminal(options)
    if as_json:
        terminal.json(described(new, datetime.now(UTC)))
        return 0
    terminal.line(f"'{new.name}' ({new.keyid[:16]}) is trusted; what the old key signed still verifies")
    if signer:
        terminal.line("next: sign with it (`key` under `evidence` in the profile's settings.yaml)")
    return 0
