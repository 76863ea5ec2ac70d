"""``maestro llm decisions``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from maestro.llm.decisions import Kept

STATES = ("answered", "cached", "failed", "refused", "cancelled", "open")


@example_command("decisions", example="maestro llm decisions\nmaestro llm decisions --state failed --since 7d --json")
@click.option("--since", metavar="WHEN", help="12h, 30d, a day or a time with zone.")
@click.option("--model", metavar="NAME", help="Only calls this model answered.")
@click.option("--route", metavar="NAME", help="Only those of this route.")
@click.option("--run", metavar="ID", help="Only those of this run.")
@click.option("--step", metavar="STEP", help="Only those of this step.")
@click.option("--state", type=click.Choice(STATES), help="Only these; open: not over, or the process died.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many at most.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    since: str | None,
    model: str | None,
    route: str | None,
    run: str | None,
    step: str | None,
    state: str | None,
    limit: int,
    server_home: Path | None,
    as_json: bool,
) -> int:
    """List which models were chosen for what, and what came of it.

    The newest come first; `maestro llm why ID` says more of one.
    """
    from maestro.cli.budget_words import read_since
    from maestro.cli.llm_source import decisions_of
    from maestro.cli.money_source import place_of

    begin = None if since is None else read_since(since, datetime.now(UTC))
    place = place_of(options, server_home)
    with decisions_of(place) as decisions:
        # A server has those of all projects; in one's checkout only its own are meant.
        found = list(
            decisions.list(
                since=begin,
                project=place.project if place.server is not None else None,
                model=model,
                route=route,
                run=run,
                step=step,
                state=state,
                limit=limit,
            )
        )
    terminal = Terminal(options)
    if as_json:
        from maestro.llm.decisions_export import kept_json

        terminal.json({"decisions": [kept_json(one) for one in found]})
        return 0
    if not found:
        terminal.line(
            "no model was asked" if (begin, model, route, run, step, state) == (None,) * 6 else "no such call"
        )
        return 0
    for line in terminal.table(("ID", "AT (UTC)", "ASKED FOR", "MODEL", "STATE", "COST", "FOR"), [*map(_row, found)]):
        terminal.line(line)
    return 0


def _row(kept: Kept) -> tuple[str, ...]:
    from maestro.cli.llm_source import shown_time
    from maestro.ledger.model import Unit, shown

    decision, outcome, who = kept.decision, kept.outcome, kept.decision.attribution
    model = (outcome.model if outcome else "") or decision.chosen or "-"
    cost = shown(Unit.USD, outcome.cost_nano) if outcome else "-"
    purpose = [f"#{who.pull_request}" if who.pull_request is not None else "", who.step or "", who.actor]
    return (
        decision.id,
        shown_time(decision.at),
        printable(decision.target or decision.route),
        printable(model),
        outcome.state if outcome else "open",
        cost,
        printable(" ".join(part for part in purpose if part)),
    )
