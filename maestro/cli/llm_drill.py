"""``maestro llm drill``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable

if TYPE_CHECKING:
    from maestro.llm.drill import Drill, RouteDrill


@example_command(
    "drill", example="maestro llm drill --down openai\nmaestro llm drill --down openai --down ollama --since 30d --json"
)
@click.option("--down", multiple=True, required=True, metavar="NAME", help="A provider or a model; may be repeated.")
@click.option("--since", default="7d", show_default=True, metavar="WHEN", help="12h, 30d, a day or a time with zone.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, down: tuple[str, ...], since: str, server_home: Path | None, as_json: bool) -> int:
    """Show where every route would go if a provider or a model were down.

    The requests of the last week are replayed on paper: nothing is asked, and nothing spent. Exit code 1 says that
    some of them would have had no answer.
    """
    from maestro.cli.budget_words import read_since
    from maestro.cli.llm_source import catalogue_of, decisions_of
    from maestro.cli.money_source import place_of
    from maestro.llm.drill import drill
    from maestro.llm.keyring import Keyring
    from maestro.llm.sources import ollama_now
    from maestro.llm.state import State

    now = datetime.now(UTC)
    begin = read_since(since, now)
    place = place_of(options, server_home)
    catalogue = catalogue_of(place)
    keys = Keyring(catalogue.keys, place.environ, place.home)
    ollama = ollama_now(catalogue, place.environ)
    state = State(now, keys=keys.present, unusable_keys=keys.unusable, ollama=ollama)
    with decisions_of(place) as decisions:
        project = place.project if place.server is not None else None
        found = drill(down, catalogue, decisions.list(since=begin, project=project, limit=None), state=state)
    terminal = Terminal(options)
    if as_json:
        terminal.json(_json(found))
    else:
        _show(terminal, found, begin)
    return 1 if found.failed else 0


def _show(terminal: Terminal, found: Drill, begin: datetime) -> None:
    terminal.line(printable(f"down: {', '.join(found.models) or ', '.join(found.down)}"))
    used = [one for one in found.routes if one.calls]
    if used:
        terminal.line(f"\nrequests since {begin:%Y-%m-%d %H:%M} UTC:")
        rows = [row for one in used for row in _rows(one)]
        for line in terminal.table(("ROUTE", "REQUESTS", "WENT TO", "WOULD GO TO", "COST"), rows):
            terminal.line(line)
    else:
        terminal.line(f"no model was asked since {begin:%Y-%m-%d %H:%M} UTC")
    unused = [one for one in found.routes if not one.calls]
    if unused:
        terminal.line("\nroutes nobody used; a typical request:")
        rows = [(printable(one.route), _way(one), printable(one.why)) for one in unused]
        for line in terminal.table(("ROUTE", "WOULD GO", "BECAUSE"), rows):
            terminal.line(line)
    if used:
        failed = plural(found.failed, "request") if found.failed else "none"
        terminal.line(f"\n{plural(found.elsewhere, 'request')} would have gone elsewhere; without any answer: {failed}")


def _rows(one: RouteDrill) -> list[tuple[str, ...]]:
    if not one.moved:
        return [(printable(one.route), str(one.calls), "not affected", "-", "-")]
    rows: list[tuple[str, ...]] = []
    for place, moved in enumerate(one.moved):
        cost = _cost(one) if place == 0 else ""
        name = printable(one.route) if place == 0 else ""
        rows.append(
            (name, f"{moved.calls} of {one.calls}", printable(moved.model), printable(moved.to or "nowhere"), cost)
        )
    return rows


def _cost(one: RouteDrill) -> str:
    from maestro.ledger.model import Unit, shown

    if one.affected == one.failed + one.unknown_cost:
        return "unknown" if one.unknown_cost else "-"
    rest = f", {one.unknown_cost} unknown" if one.unknown_cost else ""
    return f"{shown(Unit.USD, one.before_nano)} -> {shown(Unit.USD, one.after_nano)}{rest}"


def _way(one: RouteDrill) -> str:
    if not one.moved:
        return "as now"
    return printable(f"{one.moved[0].model} -> {one.moved[0].to or 'nowhere'}")


def _json(found: Drill) -> dict[str, Any]:
    from maestro.ledger.model import dollars

    return {
        "down": list(found.down),
        "models": list(found.models),
        "elsewhere": found.elsewhere,
        "failed": found.failed,
        "routes": [
            {
                "route": one.route,
                "requests": one.calls,
                "affected": one.affected,
                "failed": one.failed,
                "moved": [{"from": moved.model, "to": moved.to, "requests": moved.calls} for moved in one.moved],
                "usd_before": f"{dollars(one.before_nano):.9f}",
                "usd_after": f"{dollars(one.after_nano):.9f}",
                "unknown_cost": one.unknown_cost,
                "why": one.why,
            }
            for one in found.routes
        ],
    }
