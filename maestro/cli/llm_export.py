"""``maestro llm export``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command(
    "export",
    example="maestro llm export --since 7d > decisions.jsonl\nmaestro llm export --format csv --output decisions.csv",
)
@click.option("--since", default="30d", show_default=True, metavar="WHEN", help="12h, 30d, a day or a time with zone.")
@click.option("--until", metavar="WHEN", help="Before then; now if not given.")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True, help="How.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there.")
@SERVER_HOME_OPTION
@pass_options
def command(
    options: GlobalOptions, since: str, until: str | None, form: str, output: Path | None, server_home: Path | None
) -> int:
    """Write the decisions of a time as JSON lines or CSV.

    JSON lines hold everything: candidates with their verdicts and scores, and what came of it. No text that was asked
    or answered is in them.
    """
    from maestro.cli.budget_export import write_lines
    from maestro.cli.budget_words import read_since
    from maestro.cli.llm_source import decisions_of
    from maestro.cli.money_source import place_of
    from maestro.llm.decisions_export import export

    now = datetime.now(UTC)
    begin = read_since(since, now)
    end = None if until is None else read_since(until, now, "--until")
    place = place_of(options, server_home)
    with decisions_of(place) as decisions:
        project = place.project if place.server is not None else None
        found = decisions.list(since=begin, until=end, project=project, limit=None)
        write_lines(Terminal(options), export(found, cast('Literal["jsonl", "csv"]', form)), output)
    return 0
