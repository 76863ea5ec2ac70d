"""``maestro keys show``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from maestro.cli.keys_source import complete_key, day, described, project_keys
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("show", example="maestro keys show development\nmaestro keys show 2d2db50ad472 --json")
@click.argument("name", metavar="NAME|KEYID", shell_complete=complete_key)
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, name: str, as_json: bool) -> int:
    """Show one trusted key with its public key."""
    now = datetime.now(UTC)
    key = project_keys(options).trust().find(name)
    terminal = Terminal(options)
    if as_json:
        terminal.json(described(key, now))
        return 0
    rows = [
        ("name", key.name),
        ("state", key.state(now)),
        ("key id", key.keyid),
        ("scheme", key.scheme),
        ("development", "yes: it lies unencrypted on the machine that made it" if key.development else "no"),
        ("valid from", day(key.valid_from)),
        ("valid until", day(key.valid_until)),
        ("retired", day(key.retired_at)),
        ("revoked", f"{day(key.revoked_at)} {key.revoked_reason or ''}".strip()),
    ]
    for word, value in rows:
        if value != "-":
            terminal.line(f"{word:<12} {value}")
    terminal.line(key.public_key.rstrip())
    return 0
