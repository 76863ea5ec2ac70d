"""``maestro artifacts ls``."""

from __future__ import annotations

import click

from maestro.cli.complete import complete_run, complete_selection
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable, size


@example_command(
    "ls",
    example="""maestro artifacts ls                          # of the revision checked out
maestro artifacts ls --run latest --json
maestro artifacts ls --revision v1.2 --step build""",
)
@click.option("--run", metavar="RUN", shell_complete=complete_run, help="What this run's steps left behind.")
@click.option("--revision", metavar="REV", help="What the steps last left behind for this revision.")
@click.option("--step", metavar="STEP", shell_complete=complete_selection, help="Only this step, or stage.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, run: str | None, revision: str | None, step: str | None, as_json: bool) -> int:
    """List artifacts: of a run, a revision or a step; of this revision if nothing is said."""
    from maestro.cli.artifact_source import records_of

    if run and revision:
        raise click.UsageError("--run and --revision do not go together; a run has one revision")
    records = records_of(options, run=run, revision=revision, step=step)
    terminal = Terminal(options)
    if as_json:
        listed = [
            {"step": record.step, "run": record.run_id, "revision": record.revision, **artifact.to_json()}
            for record in records
            for artifact in record.artifacts()
        ]
        terminal.json({"artifacts": listed})
        return 0
    rows = [
        (record.step, size(artifact.size), artifact.sha256[:12], printable(artifact.name))
        for record in records
        for artifact in record.artifacts()
    ]
    if not rows:
        terminal.line("no artifacts; run the workflow first: maestro run")
        return 0
    for line in terminal.table(("STEP", "SIZE", "SHA256", "NAME"), rows):
        terminal.line(line)
    return 0
