"""``maestro retry``."""

from __future__ import annotations

import click

from maestro.cli.complete import complete_run, complete_selection
from maestro.cli.options import JSON_OPTION, REMOTE_OPTION, GlobalOptions, example_command, pass_options


@example_command(
    "retry",
    example="""maestro retry                                # the newest run
maestro retry 3fa9 --redo deploy             # do the effect of "deploy" again
maestro retry 3fa9 --assume-done deploy      # it has happened, I looked""",
)
@click.argument("run", default="latest", shell_complete=complete_run)
@click.option(
    "--redo", multiple=True, metavar="STEP", shell_complete=complete_selection, help="Do this step's effect again."
)
@click.option(
    "--assume-done",
    multiple=True,
    metavar="STEP",
    shell_complete=complete_selection,
    help="This step's effect has happened; you vouch for it.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what the steps write while they run.")
@click.option("--max-concurrent", type=click.IntRange(1, 1024), metavar="N", help="Steps at once.")
@REMOTE_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    run: str,
    redo: tuple[str, ...],
    assume_done: tuple[str, ...],
    verbose: bool,
    max_concurrent: int | None,
    remote: str | None,
    as_json: bool,
) -> int:
    """Resume a run at its first unfinished steps.

    RUN is an id, the first characters of one, or "latest". Finished steps are not done again, nor are their effects;
    revision and parameters are those of the run.
    """
    from maestro.cli.running import Shown

    shown = Shown(options, verbose=verbose, as_json=as_json)
    if remote:
        from maestro.cli.remote_run import retry_remotely

        return retry_remotely(options, run, redo, assume_done, shown, remote)
    from maestro.cli.resuming import resume_here

    return resume_here(options, run, redo, assume_done, shown, max_concurrent)
