"""``maestro budget events``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from maestro.ledger.model import Charge, Crossing

_MEANS = {80: "80 %: the cheaper candidate is preferred", 95: "95 %: alert", 100: "100 %: nothing more is granted"}


@example_command("events", example="maestro budget events\nmaestro budget events --since 7d --json")
@click.option("--since", default="30d", show_default=True, metavar="WHEN", help="12h, 30d, a day or a time with zone.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, since: str, server_home: Path | None, as_json: bool) -> int:
    """List the thresholds budgets have passed, and what cost more than was reserved.

    Charges that were assumed, since their caller died after it had asked, are listed too, with what
    `maestro budget adjust` needs to correct them.
    """
    from maestro.cli.budget_words import read_since
    from maestro.cli.money_source import place_of

    begin = read_since(since, datetime.now(UTC))
    with place_of(options, server_home).ledger() as ledger:
        ledger.expire()
        crossings = ledger.crossings(begin)
        charged = list(ledger.charges(begin, None, kind="assumed"))
        open_ = {one.id for one in ledger.reservations(sorted({one.reservation for one in charged})) if _assumed(one)}
    assumed = [one for one in charged if one.reservation in open_]
    crossings.sort(key=_place)
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "events": [_crossing_json(one) for one in crossings],
                "assumed": [_charge_json(one) for one in assumed],
            }
        )
        return 0
    if not crossings and not assumed:
        terminal.line(f"no budget passed a threshold since {begin:%Y-%m-%d %H:%M} UTC")
        return 0
    rows = [_crossing_row(one) for one in crossings] + [_charge_row(one) for one in assumed]
    # What is of one second and scope stays in its order.
    rows.sort(key=lambda row: (row[0], row[1]))
    for line in terminal.table(("AT (UTC)", "SCOPE", "USED", "OF", "WHAT"), rows):
        terminal.line(line)
    return 0


def _assumed(held: Any) -> bool:
    return bool(held.state == "assumed")


def _place(one: Crossing) -> tuple[str, str, str, int]:
    return f"{one.at:%Y-%m-%d %H:%M:%S}", str(one.scope), one.unit.value, one.level


def _crossing_row(one: Crossing) -> tuple[str, ...]:
    from maestro.ledger.model import shown

    what = _MEANS[one.level]
    if one.overdraft:
        doubtful = "the provider claimed what cannot be, so all that was reserved is charged"
        what = f"{'more than was reserved' if one.used > one.limit else doubtful}: {one.overdraft}"
    return (
        f"{one.at:%Y-%m-%d %H:%M:%S}",
        printable(str(one.scope)),
        shown(one.unit, one.used),
        shown(one.unit, one.limit),
        printable(what),
    )


def _charge_row(one: Charge) -> tuple[str, ...]:
    from maestro.ledger.model import shown

    scope = printable(str(one.attribution.scopes(one.at)[-1]))
    what = f"assumed, its caller died: {one.reservation}"
    return (f"{one.at:%Y-%m-%d %H:%M:%S}", scope, shown(one.unit, one.amount), "-", printable(what))


def _crossing_json(one: Crossing) -> dict[str, Any]:
    from maestro.ledger.insight.export import exact

    return {
        "at": one.at.timestamp(),
        "scope": str(one.scope),
        "unit": one.unit.value,
        "level": one.level,
        "used": exact(one.unit, one.used),
        "limit": exact(one.unit, one.limit),
        "overdraft": one.overdraft or None,
    }


def _charge_json(one: Charge) -> dict[str, Any]:
    from maestro.ledger.insight.export import row

    return row(one)
