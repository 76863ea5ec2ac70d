"""``maestro vulns status``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable, seconds


@example_command("status", example="maestro vulns status --json")
@click.option("--database", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the database.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, database: Path | None, as_json: bool) -> int:
    """Show what the advisory database has, and how old it is."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from maestro.cli.vulns_database import database_folder
    from maestro.vulnerabilities.database import AdvisoryDatabase

    with AdvisoryDatabase(database_folder(options, database)) as opened:
        info, coverage, age = opened.info, opened.coverage(), opened.age(datetime.now(UTC))
        withdrawn, nameless, sources = opened.withdrawn, opened.nameless, opened.sources
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                **asdict(info),
                "age_hours": round(age.total_seconds() / 3600, 2),
                "withdrawn": withdrawn,
                "packages": coverage,
                "sources": [{"place": one.place, "checked": one.checked} for one in sources],
            }
        )
        return 0
    terminal.line(f"{info.advisories:,} advisories in force, {withdrawn:,} withdrawn")
    terminal.line(f"newest {info.modified}, {_ago(age)} ago; built {info.built}")
    terminal.line(info.digest)
    if nameless:
        terminal.line(f"{nameless:,} entries name only git repositories, which are not matched")
    terminal.line()
    for line in terminal.table(
        ("PACKAGES", "ECOSYSTEM"), [(f"{n:,}", printable(name)) for name, n in coverage.items()]
    ):
        terminal.line(line)
    terminal.line()
    for line in terminal.table(("CHECKED", "SOURCE"), [(one.checked, printable(one.place)) for one in sources]):
        terminal.line(line)
    return 0


def _ago(age: timedelta) -> str:
    return plural(age.days, "day") if age.days > 1 else seconds(age.total_seconds())
