"""``maestro budget check``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable


@example_command("check", example="maestro budget check\nmaestro budget check --json")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, server_home: Path | None, as_json: bool) -> int:
    """Compare sums, reservations and charges; exit code 1 when they differ.

    What callers that are gone held is taken back first.
    """
    from maestro.cli.money_source import place_of

    with place_of(options, server_home).ledger() as ledger:
        lapsed = ledger.expire()
        found = ledger.check()
        open_ = len(ledger.reservations())
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "balanced": not found,
                "differences": [
                    {
                        "what": one.what,
                        "unit": one.unit.value,
                        "column": one.column,
                        "recorded": one.recorded,
                        "counted": one.counted,
                    }
                    for one in found
                ],
                "open_reservations": open_,
                "taken_back": [{"id": one.id, "state": one.state, "reason": one.reason} for one in lapsed],
            }
        )
        return 1 if found else 0
    for one in lapsed:
        terminal.line(f"{printable(one.id)}: {one.state}, {printable(one.reason)}")
    for difference in found:
        terminal.line(printable(str(difference)))
    word = "balanced" if not found else plural(len(found), "difference")
    terminal.line(f"{word}; {plural(open_, 'reservation')} open")
    return 1 if found else 0
