"""``maestro budget set``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from maestro.ledger.model import Crossing


@example_command(
    "set",
    example="""maestro budget set pull_request:7 usd=25 --reason 'a large migration'
maestro budget set 'project:local/shop@*' usd=300 tokens=50m --reason 'what was agreed for each month'
maestro budget set 'run:*' usd=2 --reason 'no single run costs more'""",
)
@click.argument("scope")
@click.argument("amounts", nargs=-1, required=True, metavar="UNIT=AMOUNT...")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in one line.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    scope: str,
    amounts: tuple[str, ...],
    reason: str,
    server_home: Path | None,
    as_json: bool,
) -> int:
    """Grant an amount to a scope, for a reason.

    SCOPE as for `maestro budget show`; * stands for all: 'tenant:acme@*' is every month, 'pull_request:acme/app#*'
    every pull request, 'run:*' every run. Units are usd, tokens, runs, minutes and gigabytes; amounts like 10.50, 200k,
    unlimited, or default for what would count had nobody set it.
    """
    from maestro.cli.budget_words import DEFAULT, read_amount, read_scope
    from maestro.cli.money_source import note, place_of
    from maestro.cli.run_named import with_whole_run
    from maestro.ledger.model import shown
    from maestro.ledger.names import checked_text

    place = place_of(options, server_home)
    found = with_whole_run(options, place, read_scope(scope, place, datetime.now(UTC)))
    wanted = dict(read_amount(one) for one in amounts)
    if len(wanted) != len(amounts):
        raise click.UsageError("a unit is given twice")
    checked_text("reason", reason.strip())
    words: dict[str, Any] = {
        unit.value: DEFAULT if amount == DEFAULT else "unlimited" if amount is None else shown(unit, int(amount))
        for unit, amount in wanted.items()
    }
    with place.ledger() as ledger:
        note(options, place, "budget.set", str(found), {"amounts": words, "reason": reason.strip()})
        over: list[Crossing] = []
        for unit, amount in wanted.items():
            if amount == DEFAULT:
                over += ledger.clear_limit(found, unit, actor=place.actor, reason=reason.strip())
            else:
                limit = None if amount is None else int(amount)
                over += ledger.set_limit(found, unit, limit, actor=place.actor, reason=reason.strip())
    terminal = Terminal(options)
    if as_json:
        terminal.json({"scope": str(found), "amounts": words, "reason": reason.strip(), "by": place.actor})
        return 0
    told = ", ".join(f"{unit} {amount}" for unit, amount in words.items())
    terminal.line(f"{printable(str(found))}: {told}, by {printable(place.actor)}")
    for one in over:
        terminal.line(
            f"it is used by {one.level} % and more: {shown(one.unit, one.used)} of {shown(one.unit, one.limit)}"
        )
    return 0
