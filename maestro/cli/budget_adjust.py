"""``maestro budget adjust``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import InputError


@example_command(
    "adjust",
    example="maestro budget adjust dec_0193f2a1.1 usd=0.0123 --reason 'as on the bill of November'",
)
@click.argument("reservation")
@click.argument("amount", metavar="UNIT=AMOUNT")
@click.option("--reason", required=True, metavar="TEXT", help="How it is known, in one line.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions, reservation: str, amount: str, reason: str, server_home: Path | None, as_json: bool
) -> int:
    """Correct a charge to what the call really came to.

    For one that was assumed because its caller died, or that a provider counted wrongly. RESERVATION is listed by
    `maestro budget events` and `maestro budget export`. The first charge stays, and a second one corrects it.
    """
    from maestro.cli.budget_words import nearest, read_amount
    from maestro.cli.money_source import note, place_of
    from maestro.ledger.insight.export import row
    from maestro.ledger.model import shown
    from maestro.ledger.names import checked_text

    place = place_of(options, server_home)
    unit, value = read_amount(amount, bounded=True)
    if not isinstance(value, int):
        raise InputError(f"'{amount}' is no amount a call came to", next_step="write UNIT=AMOUNT, as in usd=0.0123")
    checked_text("reason", reason.strip())
    with place.ledger() as ledger:
        found = ledger.reservations([reservation])
        if not found:
            known = sorted({one.reservation for one in ledger.charges(kind="assumed")})
            raise InputError(
                f"there is no reservation '{reservation[:80]}'",
                next_step=nearest(reservation, known) or "see `maestro budget events`",
            )
        if found[0].state in ("assumed", "settled") and unit in found[0].actual:
            data = {"unit": unit.value, "amount": shown(unit, value), "reason": reason.strip()}
            note(options, place, "budget.adjusted", reservation, data)
        # Anything else is refused, with the reason.
        charge = ledger.adjust(reservation, value, reason=reason.strip(), actor=place.actor, unit=unit)
    terminal = Terminal(options)
    if as_json:
        terminal.json(row(charge))
    else:
        terminal.line(
            f"{printable(reservation)}: {shown(unit, value)} in place of {shown(unit, value - charge.amount)}"
        )
    return 0
