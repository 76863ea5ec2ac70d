"""``maestro waivers revoke``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("revoke", example="maestro waivers revoke 0f3a9c21d4e5 --reason 'a fixed version is out'")
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why it stops counting, in one line.")
@pass_options
def command(options: GlobalOptions, id_: str, reason: str) -> int:
    """Let a waiver stop counting now."""
    from maestro.cli.evidence_source import evidence_of
    from maestro.policy.waiver_store import revoke_waiver

    with evidence_of(options) as source:
        desk = source.desk
        new = revoke_waiver(
            desk.store,
            id_,
            reason=reason,
            by=desk.actor,
            signer=desk.signer,
            now=datetime.now(UTC),
            audit=lambda one: desk.note(one.kind, one.object, one.data),
        )
    Terminal(options).line(f"{id_} does not count any more" if new else f"{id_} was revoked before")
    return 0
