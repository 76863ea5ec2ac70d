"""``maestro llm fairness``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable

if TYPE_CHECKING:
    from maestro.llm.fairness import TenantShare


@example_command(
    "fairness", example="maestro llm fairness\nmaestro llm fairness --since 30d --server-home /srv/maestro --json"
)
@click.option("--since", default="7d", show_default=True, metavar="WHEN", help="12h, 30d, a day or a time with zone.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, since: str, server_home: Path | None, as_json: bool) -> int:
    """Show each tenant's share of calls that were slow or failed.

    A call is slow when it was among the slowest tenth of its model's calls, of all tenants together. It failed when no
    model answered; what a budget or a policy refused does not count. The worst off come first.
    """
    from dataclasses import asdict

    from maestro.cli.budget_words import read_since
    from maestro.cli.llm_source import decisions_of
    from maestro.cli.money_source import place_of
    from maestro.llm.watching import fairness_of

    now = datetime.now(UTC)
    begin = read_since(since, now)
    with decisions_of(place_of(options, server_home)) as decisions:
        found = fairness_of(decisions, since=begin, until=now)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"since": begin.isoformat(timespec="seconds"), "tenants": [asdict(one) for one in found]})
        return 0
    if not found:
        terminal.line(f"no call has ended since {begin:%Y-%m-%d %H:%M} UTC")
        return 0
    for line in terminal.table(
        ("TENANT", "CALLS", "SLOW", "FAILED", "SHARE", "LIKELY", "OTHERS", ""), [*map(_row, found)]
    ):
        terminal.line(line)
    terminal.line()
    terminal.line(_verdict(found))
    return 0


def _row(one: TenantShare) -> tuple[str, ...]:
    return (
        printable(one.tenant),
        str(one.calls),
        str(one.slow),
        str(one.failed),
        f"{one.share:.1%}",
        f"{one.low:.1%} to {one.high:.1%}",
        f"{one.others:.1%}",
        "worse off" if one.worse else "",
    )


def _verdict(found: tuple[TenantShare, ...]) -> str:
    worse = [printable(one.tenant) for one in found if one.worse]
    if worse:
        return f"worse off than the others by more than chance explains: {', '.join(worse)}"
    if len(found) == 1:
        return f"{plural(found[0].calls, 'call')} of one tenant: there is nobody to compare it with"
    return "nobody is worse off than the others by more than chance explains"
