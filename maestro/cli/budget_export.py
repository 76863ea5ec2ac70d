"""``maestro budget export``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command(
    "export",
    example="""maestro budget export > charges.csv
maestro budget export --month 2026-10 --format jsonl --output charges.jsonl
maestro budget export --by project --by model""",
)
@click.option("--month", metavar="YYYY-MM", help="The month (UTC) whose budgets the charges count in; this one.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True, help="How.")
@click.option("--by", multiple=True, metavar="NAME", help="Sums in place of charges: tenant, project, step, model …")
@click.option("--tenant", metavar="NAME", help="Only this tenant's.")
@click.option("--project-name", metavar="NAME", help="Only this project's.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there.")
@SERVER_HOME_OPTION
@pass_options
def command(
    options: GlobalOptions,
    month: str | None,
    form: str,
    by: tuple[str, ...],
    tenant: str | None,
    project_name: str | None,
    output: Path | None,
    server_home: Path | None,
) -> int:
    """Write a month's charges as CSV or JSON lines, every cent attributed.

    The rows of a scope sum to what `maestro budget show` says of it. In CSV a text a spreadsheet would take for a
    formula has an apostrophe in front.
    """
    from maestro.cli.money_source import place_of
    from maestro.ledger.insight.export import csv_lines, jsonl, month_of, sum_lines

    wanted = month or f"{datetime.now(UTC):%Y-%m}"
    month_of(wanted)
    place = place_of(options, server_home)
    filters: dict[str, Any] = {"month": wanted, "tenant": tenant, "project": project_name}
    with place.ledger() as ledger:
        charges = ledger.charges(**{name: value for name, value in filters.items() if value is not None})
        if by:
            lines: Iterator[str] = sum_lines(charges, wanted, by, form)
        else:
            lines = csv_lines(charges) if form == "csv" else jsonl(charges)
        write_lines(Terminal(options), lines, output)
    return 0


def write_lines(terminal: Terminal, lines: Iterable[str], file: Path | None) -> None:
    """Lines with their ends to ``file``, whole or not at all; to standard output when None.

    Raises:
        InputError: the file cannot be written.
    """
    if file is None:
        for line in lines:
            # The stream would turn the line ends of CSV into its own.
            terminal.stream.write(line.replace("\r\n", "\n"))
        return
    import os

    from maestro.errors import InputError, Location

    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    count = 0
    try:
        with temporary.open("w", encoding="utf-8", newline="") as opened:
            for line in lines:
                opened.write(line)
                count += 1
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"the file cannot be written: {error.strerror}", where=Location(str(file)), next_step="name another file"
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    terminal.line(f"wrote {file}: {count:,} lines")
