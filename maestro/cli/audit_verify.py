"""``maestro audit verify``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.audit_findings import tell_findings
from maestro.cli.audit_source import DB_OPTION, KEY_OPTION, open_to_read, read_note
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command(
    "verify",
    example="""maestro audit verify
maestro audit verify --checkpoint from-the-vault.txt --key audit.pem.pub""",
)
@click.option(
    "--checkpoint",
    "files",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A checkpoint kept elsewhere, which must still hold; may be given several times.",
)
@DB_OPTION
@KEY_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, files: tuple[Path, ...], db: str | None, key: str | None, as_json: bool) -> int:
    """Recompute the whole log and name every row that was changed.

    Rows are held against the stored hashes, the head and all checkpoints, those given with --checkpoint too. Exit code
    1 when anything is not as it was written.
    """
    terminal = Terminal(options)
    notes = [read_note(file) for file in files]
    with open_to_read(options, db, key) as log:
        report = log.verify(notes)
    if as_json:
        terminal.json(report.to_json())
        return 0 if report.ok else 1
    tell_findings(terminal, report.findings)
    for warning in report.warnings:
        terminal.line(f"{terminal.state('warn')} {printable(warning)}")
    if report.ok:
        terminal.line(
            f"{terminal.state('ok')} {report.size} entries of {report.origin} are as they were written; "
            f"compared with {report.checkpoints} signed roots"
        )
        return 0
    terminal.line(f"{len(report.findings)} findings in the audit log {report.origin}")
    return 1
