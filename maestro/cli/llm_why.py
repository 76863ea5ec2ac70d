"""``maestro llm why``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("why", example="maestro llm why last\nmaestro llm why dec_0193f2a1 --json")
@click.argument("id_", metavar="ID")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, id_: str, server_home: Path | None, as_json: bool) -> int:
    """Answer for one call: why this model?

    ID is a decision's, or how it begins; 'last' is the newest.
    """
    from maestro.cli.llm_source import decisions_of
    from maestro.cli.money_source import place_of
    from maestro.errors import InputError

    place = place_of(options, server_home)
    if not place.there:
        raise InputError("no model was asked here yet", next_step="maestro llm ask 'hello'")
    with decisions_of(place) as decisions:
        kept = decisions.get(id_)
    terminal = Terminal(options)
    if as_json:
        from maestro.llm.decisions_export import kept_json

        terminal.json(kept_json(kept))
    else:
        from maestro.cli.llm_why_table import show_decision

        show_decision(terminal, kept.decision, kept.outcome)
    return 0
