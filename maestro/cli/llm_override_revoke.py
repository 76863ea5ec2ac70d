"""``maestro llm override revoke``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("revoke", example="maestro llm override revoke ovr_0193f2a1c3d40a1b2c3d --reason 'it is repaired'")
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why it stops counting, in one line.")
@SERVER_HOME_OPTION
@pass_options
def command(options: GlobalOptions, id_: str, reason: str, server_home: Path | None) -> int:
    """Let an override stop counting now."""
    from maestro.cli.budget_words import nearest
    from maestro.cli.money_source import note, place_of
    from maestro.errors import InputError
    from maestro.llm.overrides import OverrideStore

    place = place_of(options, server_home)
    with place.ledger() as ledger:
        store = OverrideStore(ledger.engine)
        known = [one.id for one in store.list()]
        if id_ not in known:
            hint = nearest(id_, known) or "list them with `maestro llm override list --all`"
            raise InputError(f"there is no override '{id_[:60]}'", next_step=hint)
        # It ends first: nobody loses by an override that ends without a row.
        change = store.revoke(id_, reason=reason, actor=place.actor)
        note(options, place, change.kind, change.object, change.data)
    Terminal(options).line(f"{id_} does not count any more")
    return 0
