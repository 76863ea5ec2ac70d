"""``maestro evidence controls``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command(
    "controls",
    example="""maestro evidence controls --framework soc2
maestro evidence controls v1.2 --table our-controls.yaml --json""",
)
@click.argument("revision", required=False, metavar="[REV]")
@click.option("--framework", multiple=True, metavar="NAME", help="soc2 or iso27001; may be repeated; all if not given.")
@click.option("--table", type=click.Path(path_type=Path, dir_okay=False), help="Your own table of controls (YAML).")
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions, revision: str | None, framework: tuple[str, ...], table: Path | None, as_json: bool
) -> int:
    """Report which SOC 2 and ISO 27001 controls the evidence of a revision covers.

    A control that is not covered says what is missing, stale, does not verify, or speaks against the revision.
    The exit code is 1 when a control is not covered.
    """
    from maestro.cli.evidence_source import evidence_of
    from maestro.evidence.controls import control_report, load_controls
    from maestro.evidence.overview import overview

    controls = load_controls(table)
    with evidence_of(options) as source:
        named = source.revision(revision)
        rows = overview(source.desk, named, source.opened.loaded.workflow.required_evidence)
        report = control_report(controls, rows, source.desk.now(), framework)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"revision": named, "controls": [one.to_json() for one in report]})
    else:
        shown = [(one.framework, one.control.id, one.state, printable(one.control.title)) for one in report]
        for line in terminal.table(("FRAMEWORK", "CONTROL", "STATE", "TITLE"), shown, painted=2):
            terminal.line(line)
        for one in report:
            for reason in one.because:
                terminal.line(f"{one.control.id}: {printable(reason)}")
    return 0 if all(one.state == "covered" for one in report) else 1
