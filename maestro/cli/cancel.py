"""``maestro cancel``."""

from __future__ import annotations

import click

from maestro.cli.complete import complete_run
from maestro.cli.options import JSON_OPTION, REMOTE_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command(
    "cancel",
    example="""maestro cancel                 # the run that is going on
maestro cancel 3fa9 --force    # kill its process and mark it as cancelled""",
)
@click.argument("run", required=False, shell_complete=complete_run)
@click.option("--force", is_flag=True, help="Mark it as cancelled even if nothing answers; nothing is undone.")
@REMOTE_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, run: str | None, force: bool, remote: str | None, as_json: bool) -> int:
    """Stop a run; what must be undone is undone.

    RUN is an id, the first characters of one, or "latest"; the newest that has not ended if not given.
    """
    from maestro.cli.runs_source import open_runs, running_now

    terminal = Terminal(options)
    with open_runs(options, remote) as runs:
        view = runs.cancel(run or running_now(runs).run_id, force=force)
    if as_json:
        terminal.json(view.to_json())
        return 0
    terminal.line(f"run {view.run_id[:8]} {terminal.state(view.state)}")
    for compensation in view.compensations:
        terminal.line(f"compensation: {printable(compensation)}")
    return 0
