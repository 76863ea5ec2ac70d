"""``maestro vulns affected``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command(
    "affected",
    example="""maestro vulns affected CVE-2021-44228
maestro vulns affected CVE-2021-44228 --rescan --json""",
)
@click.argument("identifier", metavar="CVE")
@click.option("--rescan", is_flag=True, help="Look every kept SBOM up in today's database, not in the reports.")
@click.option("--database", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the database.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, identifier: str, rescan: bool, database: Path | None, as_json: bool) -> int:
    """Show which revisions, images and environments a vulnerability is in.

    CVE is the id of an advisory, or any alias of it. A revision whose scan did not take place is listed as unknown.
    Exit code 1 means that it is somewhere, or that it cannot be said.
    """
    from contextlib import ExitStack

    from maestro.artifacts import RecordStore
    from maestro.cli.artifact_source import store_of
    from maestro.cli.prepare import find_project
    from maestro.cli.vulns_database import database_folder
    from maestro.runs.project_name import project_name
    from maestro.vulnerabilities.affected import affected
    from maestro.vulnerabilities.database import AdvisoryDatabase

    records, project = RecordStore(store_of(options)), project_name(find_project(options))
    with ExitStack() as stack:
        opened = stack.enter_context(AdvisoryDatabase(database_folder(options, database))) if rescan else None
        found = list(affected(records, project, identifier, database=opened))
    terminal = Terminal(options)
    if as_json:
        terminal.json({"id": identifier, "project": project, "affected": [one.to_json() for one in found]})
        return 1 if found else 0
    rows = []
    for one in found:
        shown = one.to_json()
        state = "unknown" if one.unknown else "affected" if shown["counts"] else "vex"
        about = one.unknown or ", ".join([*shown["packages"], *one.images])
        rows.append((state, one.revision[:16], one.step, ", ".join(one.environments) or "-", printable(about)))
    if not rows:
        looked = len(records.revisions(project))
        terminal.line(f"{printable(identifier)} is in none of the {looked} revisions that are kept")
        return 0
    for line in terminal.table(("STATE", "REVISION", "STEP", "ENVIRONMENT", "WHERE"), rows):
        terminal.line(line)
    return 1
