"""``maestro llm drift``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable

if TYPE_CHECKING:
    from maestro.llm.drift import DriftAlert
    from maestro.llm.watching import Drifted

_WORDS = {
    "mix": "how many calls of a route go to a model",
    "cost": "what a call costs",
    "latency": "how long a call takes",
    "refusals": "how many calls are refused",
}


@example_command("drift", example="maestro llm drift\nmaestro llm drift --since 1d --json")
@click.option("--since", default="7d", show_default=True, metavar="WHEN", help="12h, 30d, a day or a time with zone.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, since: str, server_home: Path | None, as_json: bool) -> int:
    """Show what has changed at the models: their mix, cost, time and refusals.

    The last week is compared with the four weeks of whole days (UTC) before it. A value is shown when it is further
    from the usual one than the weeks before, and the chance of so many calls, explain. Nothing is asked, and nothing
    spent.
    """
    from maestro.cli.budget_words import read_since
    from maestro.cli.llm_source import decisions_of
    from maestro.cli.money_source import place_of
    from maestro.llm.watching import drift_of

    now = datetime.now(UTC)
    begin = read_since(since, now)
    place = place_of(options, server_home)
    whose = {} if place.server is None or place.project is None else {"tenant": place.tenant, "project": place.project}
    with decisions_of(place) as decisions:
        found = drift_of(decisions, now=now, window=now - begin, **whose)
    terminal = Terminal(options)
    if as_json:
        terminal.json(drifted_json(found))
    else:
        _show(terminal, found)
    return 0


def _show(terminal: Terminal, found: Drifted) -> None:
    from maestro.llm.drift import LEAST_CALLS, LEAST_DAYS, WEEKS

    terminal.line(f"{plural(found.calls, 'call')} since {found.begin:%Y-%m-%d %H:%M} UTC")
    terminal.line(
        f"compared with {plural(found.days, 'day')} of the {WEEKS} weeks before that had {LEAST_CALLS} calls or more"
    )
    terminal.line()
    if not found.alerts:
        if found.calls < LEAST_CALLS or found.days < LEAST_DAYS:
            terminal.line(
                f"too little to compare: it takes {LEAST_CALLS} calls since then, and {LEAST_DAYS} such days before"
            )
        else:
            terminal.line("nothing is out of line: mix, cost, time and refusals are as they usually are")
        return
    for line in terminal.table(("WHAT", "OF", "NOW", "BEFORE", "USUAL", "CALLS"), [*map(_row, found.alerts)]):
        terminal.line(line)
    terminal.line()
    for metric in dict.fromkeys(one.metric for one in found.alerts):
        terminal.line(f"{metric}: {_WORDS[metric]}")
    terminal.line("see the calls: maestro llm decisions --model NAME")


def _row(one: DriftAlert) -> tuple[str, ...]:
    usual = f"{one.shown(one.low)} to {one.shown(one.high)}"
    subject = printable(one.subject)
    return one.metric, subject, one.shown(one.value), one.shown(one.before), usual, str(one.calls)


def drifted_json(found: Drifted) -> dict[str, Any]:
    """The same for programs; shares are parts of 1, costs dollars, times seconds."""
    return {
        "since": found.begin.isoformat(timespec="seconds"),
        "until": found.end.isoformat(timespec="seconds"),
        "calls": found.calls,
        "days_before": found.days,
        "alerts": [
            {
                "metric": one.metric,
                "subject": one.subject,
                "value": one.value,
                "before": one.before,
                "low": one.low,
                "high": one.high,
                "calls": one.calls,
                "sentence": one.sentence,
            }
            for one in found.alerts
        ],
    }
