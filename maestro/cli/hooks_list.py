"""``maestro hooks list``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION
from maestro.cli.terminal import Terminal, printable


@example_command("list", example="maestro hooks list\nmaestro hooks list --state dead --json")
@click.option(
    "--state",
    type=click.Choice(["new", "started", "nothing", "waiting", "dead"]),
    help="Only these: not looked at, started a run, nothing to do, tried again later, given up.",
)
@click.option("--project", metavar="NAME", help="Only those of this registered project.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many at most.")
@HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions, state: str | None, project: str | None, limit: int, home: Path | None, as_json: bool
) -> int:
    """List webhooks that were taken, and what became of each.

    The newest come first.
    """
    from maestro.cli.hooks_source import Hooks, outcome_text, shown_time
    from maestro.cli.server_home import server_home

    found = Hooks(server_home(options, home)).recent(limit, state, project)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"hooks": [one.to_json() for one in found]})
        return 0
    if not found:
        terminal.line("no webhook was taken" if state is None and project is None else "no such webhook")
        return 0
    rows = [
        (
            str(one.headline.id),
            shown_time(one.headline.received),
            one.headline.provider,
            printable("/".join(part for part in (one.headline.event, one.action) if part)),
            printable(one.project),
            one.state,
            printable(outcome_text(one.outcome)),
        )
        for one in found
    ]
    heads = ("ID", "RECEIVED (UTC)", "PROVIDER", "EVENT", "PROJECT", "STATE", "OUTCOME")
    for line in terminal.table(heads, rows, painted=5):
        terminal.line(line)
    return 0
