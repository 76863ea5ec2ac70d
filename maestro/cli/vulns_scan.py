"""``maestro vulns scan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable

if TYPE_CHECKING:
    from maestro.vulnerabilities.report import Report

_SEVERITIES = ("critical", "high", "medium", "low", "none", "unknown")
_UNSCANNED = 20


@example_command(
    "scan",
    example="""maestro vulns scan sbom.cdx.json
maestro vulns scan sbom.cdx.json --vex vex.json --fail-on high --json""",
)
@click.argument("sbom", type=click.Path(path_type=Path), metavar="SBOM")
@click.option(
    "--vex", "vex_files", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="VEX document."
)
@click.option(
    "--max-age-hours",
    type=click.FloatRange(min=0, min_open=True),
    default=168.0,
    metavar="HOURS",
    help="How old the newest advisory may be; 168 if not given.",
)
@click.option("--skip", multiple=True, metavar="GLOB", help="Package URLs or names that need not be looked up.")
@click.option("--fail-on", type=click.Choice(_SEVERITIES), help="Exit with 1 from this severity on.")
@click.option("--database", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the database.")
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    sbom: Path,
    vex_files: tuple[Path, ...],
    max_age_hours: float,
    skip: tuple[str, ...],
    fail_on: str | None,
    database: Path | None,
    as_json: bool,
) -> int:
    """Look the components of an SBOM up in the advisory database.

    SBOM is a CycloneDX document in JSON. Exit code 1 means that it was not scanned, or not all of it, or that there
    are findings from --fail-on on.
    """
    from datetime import timedelta

    from maestro.cli.vulns_database import database_folder
    from maestro.vulnerabilities.cyclonedx import read_bom
    from maestro.vulnerabilities.database import AdvisoryDatabase
    from maestro.vulnerabilities.report import SEVERITIES, at_least
    from maestro.vulnerabilities.scan import ScanOptions, scan
    from maestro.vulnerabilities.vex import read_vex

    bom = read_bom(sbom)
    statements = [one for file in vex_files for one in read_vex(file)]
    with AdvisoryDatabase(database_folder(options, database)) as opened:
        settings = ScanOptions(max_age=timedelta(hours=max_age_hours), statements=statements, skip=skip)
        report = scan(bom, opened, settings)
    limit = next((one for one in SEVERITIES if one == fail_on), None)
    too_bad = limit is not None and any(one.counts and at_least(one.severity, limit) for one in report.findings)
    terminal = Terminal(options)
    if as_json:
        terminal.json(report.to_json())
    else:
        _show(terminal, report)
    return 1 if too_bad or report.state == "not_scanned" else 0


def _show(terminal: Terminal, report: Report) -> None:
    rows = [
        (
            one.severity,
            one.id,
            printable(f"{one.package} {one.version}"),
            printable(", ".join(one.fixed)) or "-",
            printable(f"{one.vex.status}: {one.vex.source}" if one.vex else one.summary),
        )
        for one in report.findings
    ]
    if rows:
        for line in terminal.table(("SEVERITY", "ID", "PACKAGE", "FIXED IN", "ABOUT"), rows):
            terminal.line(line)
        terminal.line()
    for gap in report.unscanned[:_UNSCANNED]:
        terminal.line(printable(f"not looked up: {gap.what}: {gap.reason}"))
    if len(report.unscanned) > _UNSCANNED:
        terminal.line(f"not looked up: {len(report.unscanned) - _UNSCANNED:,} more; --json lists them")
    count = sum(one.counts for one in report.findings)
    state = {"clean": "clean", "findings": plural(count, "finding"), "not_scanned": "not scanned"}[report.state]
    terminal.line(f"{state}; {plural(report.components, 'component')}")
    if report.reason:
        terminal.line(printable(report.reason))
