"""``maestro llm decisions``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.complete import complete_run
from maestro.cli.money_source import SERVER_HOME_OPTION, MoneyPlace
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from maestro.llm.decisions import DecisionStore, Kept, Named

STATES = ("answered", "cached", "failed", "refused", "cancelled", "open")


@example_command("decisions", example="maestro llm decisions\nmaestro llm decisions --state failed --since 7d --json")
@click.option("--since", metavar="WHEN", help="12h, 30d, a day or a time with zone.")
@click.option("--model", metavar="NAME", help="Only calls this model answered.")
@click.option("--route", metavar="NAME", help="Only those of this route.")
@click.option(
    "--run",
    metavar="RUN",
    shell_complete=complete_run,
    help="Only those of this run: an id, how one begins, or latest.",
)
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
    from maestro.cli.run_named import whole_run_id

    begin = None if since is None else read_since(since, datetime.now(UTC))
    place = place_of(options, server_home)
    if run is not None:
        run = whole_run_id(options, place, run)
    with decisions_of(place) as decisions:
        # A server has those of all projects; in one's checkout only its own are meant.
        project = place.project if place.server is not None else None
        found = list(
            decisions.list(
                since=begin,
                project=project,
                model=model,
                route=route,
                run=run,
                step=step,
                state=state,
                limit=limit,
            )
        )
        if not found:
            _check_names(place, decisions, project, {"model": model, "route": route, "step": step})
    terminal = Terminal(options)
    if as_json:
        from maestro.llm.decisions_export import kept_json

        terminal.json({"decisions": [kept_json(one) for one in found]})
        return 0
    if not found:
        if (begin, model, route, step, state) == (None,) * 5:
            terminal.line("no model was asked" if run is None else f"the run {run[:8]} asked no model")
        else:
            terminal.line("no such call")
        return 0
    for line in terminal.table(("ID", "AT (UTC)", "ASKED FOR", "MODEL", "STATE", "COST", "FOR"), [*map(_row, found)]):
        terminal.line(line)
    return 0


def _check_names(
    place: MoneyPlace, decisions: DecisionStore, project: str | None, given: Mapping[Named, str | None]
) -> None:
    """Raises InputError for a model, route or step that neither calls nor the catalogue know, with the nearest."""
    from maestro.cli.budget_words import nearest
    from maestro.cli.llm_source import catalogue_of
    from maestro.errors import InputError

    for what, name in given.items():
        if name is None or name in (known := decisions.names(what, project)):
            continue
        asked = f"no call was of a {what} '{name}'"
        if what == "step":
            ends = [one for one in known if one.rpartition("/")[2] == name]
            hint = f"did you mean '{ends[0]}'?" if ends else nearest(name, known)
            raise InputError(asked, next_step=hint or "leave --step out to see which there are")
        catalogue = catalogue_of(place)
        there = catalogue.models if what == "model" else catalogue.routes
        if name not in there:
            known = (*known, *there)
            raise InputError(
                f"there is no {what} '{name}', and {asked}",
                next_step=nearest(name, known) or "see `maestro llm models`",
            )


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
