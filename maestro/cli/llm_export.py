"""``maestro llm export``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from maestro.cli.money_source import SERVER_HOME_OPTION, MoneyPlace
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal
from maestro.errors import InputError


@example_command(
    "export",
    example="""maestro llm export --since 7d > decisions.jsonl
maestro llm export --format csv --output decisions.csv
maestro llm export --entry 42 | sha256sum              # the hash that entry of the audit log has""",
)
@click.option("--since", default="30d", show_default=True, metavar="WHEN", help="12h, 30d, a day or a time with zone.")
@click.option("--until", metavar="WHEN", help="Before then; now if not given.")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True, help="How.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there.")
@click.option(
    "--entry",
    type=click.IntRange(min=0),
    metavar="INDEX",
    help="Those this entry of the audit log is about, in its order, whenever they were made.",
)
@SERVER_HOME_OPTION
@pass_options
def command(
    options: GlobalOptions,
    since: str,
    until: str | None,
    form: str,
    output: Path | None,
    entry: int | None,
    server_home: Path | None,
) -> int:
    """Write the decisions of a time as JSON lines or CSV.

    JSON lines hold everything: candidates with their verdicts and scores, and what came of it. No text that was asked
    or answered is in them. With --entry the exit code is 1 when decisions of the entry are no longer kept.
    """
    if entry is not None and form != "jsonl":
        raise click.UsageError("--entry is for JSON lines, which are what was audited")
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
        lines: Iterable[str]
        listed: list[str] = []
        there = 0
        if entry is not None:
            listed = _listed(options, place, entry)

            def counted() -> Iterator[str]:
                nonlocal there
                for line in decisions.lines_of(listed):
                    there += 1
                    yield f"{line}\n"

            lines = counted()
        elif form == "jsonl":
            lines = (f"{line}\n" for line in decisions.lines(since=begin, until=end, project=project))
        else:
            lines = export(decisions.list(since=begin, until=end, project=project, limit=None), "csv")
        terminal = Terminal(options)
        write_lines(terminal, lines, output)
    if there == len(listed):
        return 0
    terminal.stream.flush()
    gone = f"{len(listed) - there} of {len(listed)} decisions of this entry are no longer kept"
    Terminal(options, sys.stderr).line(f"{gone}; see `maestro llm verify`")
    return 1


def _listed(options: GlobalOptions, place: MoneyPlace, index: int) -> list[str]:
    """Ids of the decisions an entry of the audit log is about.

    Raises:
        InputError: it is about none.
    """
    from maestro.cli.decision_audit import log_of
    from maestro.llm.auditing import AUDIT_KIND

    with log_of(options, place) as log:
        found = next(log.entries(index, index + 1), None)
    listed = None if found is None or found.kind != AUDIT_KIND else found.data.get("decisions")
    if not isinstance(listed, dict):
        raise InputError(
            f"entry {index} of the audit log is about no decisions",
            next_step=f"list those that are with `maestro audit show --kind {AUDIT_KIND}`",
        )
    return [*listed]
