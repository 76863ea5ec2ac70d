"""``maestro policy test``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable

if TYPE_CHECKING:
    from maestro.policy.testing import TestReport


@example_command(
    "test",
    example="""maestro policy test                       # the policies Maestro ships
maestro policy test policies --min-coverage 90
maestro policy test policies --run waiver --json""",
)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--run", "only", default="", metavar="REGEX", help="Only tests whose name this is found in.")
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 100),
    default=0.0,
    metavar="PERCENT",
    help="Fail below this part of the policies' lines.",
)
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, path: Path | None, only: str, min_coverage: float, as_json: bool) -> int:
    """Run the tests of policies, with coverage.

    Tests are rules named test_… in files named …_test.rego; they pass when they are true.
    """
    import policies
    from maestro.policy.testing import run_tests

    folder = path or Path(policies.__file__).parent
    report = run_tests(folder, only=only)
    enough = report.covered_percent >= min_coverage
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "passed": report.passed and enough,
                "coverage": round(report.covered_percent, 2),
                "tests": [{"name": one.name, "state": one.state, "message": one.message} for one in report.results],
                "files": [
                    {"file": one.file, "covered": len(one.covered), "not_covered": list(one.not_covered)}
                    for one in report.coverage
                ],
            }
        )
    else:
        _show(terminal, report, folder, min_coverage)
    return 0 if report.passed and enough else 1


def _show(terminal: Terminal, report: TestReport, folder: Path, min_coverage: float) -> None:
    for one in report.results:
        if one.state != "passed":
            terminal.line(f"{terminal.paint(one.state, 'red')}  {one.name}  {printable(one.message)}".rstrip())
    failed = sum(one.state in ("failed", "error") for one in report.results)
    left = [(one.file, one.not_covered) for one in report.coverage if one.not_covered]
    for file, lines in left:
        shown = ", ".join(map(str, lines[:20])) + (" …" if len(lines) > 20 else "")
        terminal.line(f"not covered  {file}: {shown}")
    if not report.results:
        terminal.line(f"there is no test in {folder}")
    terminal.line(f"{plural(len(report.results), 'test')}, {failed} failed, coverage {report.covered_percent:.1f} %")
    if report.covered_percent < min_coverage:
        terminal.line(terminal.paint(f"coverage is below {min_coverage:g} %", "red"))
