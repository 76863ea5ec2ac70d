"""``maestro run``."""

from __future__ import annotations

import click

from maestro.cli.complete import complete_selection
from maestro.cli.options import (
    JSON_OPTION,
    PARAM_OPTION,
    REMOTE_OPTION,
    GlobalOptions,
    example_command,
    pass_options,
)
from maestro.cli.prepare import Asked


@example_command(
    "run",
    example="""maestro run                          # the whole workflow, here
maestro run test --param level=2     # stage or step "test" and what it waits for
maestro run --watch                  # again whenever a file is saved
maestro run --revision v1.2          # another revision, in a checkout of its own""",
)
@click.argument("select", nargs=-1, metavar="[SELECT]...", shell_complete=complete_selection)
@click.option("--only", is_flag=True, help="Only the chosen steps, not what they wait for.")
@PARAM_OPTION
@click.option("--revision", metavar="REV", help="Run this commit, branch, tag or kept tree, in a checkout of its own.")
@click.option("--base", metavar="REV", help="What changed() compares with.")
@click.option("--watch", is_flag=True, help="Run again whenever a file is saved; Ctrl-C ends.")
@click.option("--max-concurrent", type=click.IntRange(1, 1024), metavar="N", help="Steps at once.")
@click.option("-v", "--verbose", is_flag=True, help="Show what the steps write while they run.")
@REMOTE_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    select: tuple[str, ...],
    only: bool,
    assignments: tuple[str, ...],
    revision: str | None,
    base: str | None,
    watch: bool,
    max_concurrent: int | None,
    verbose: bool,
    remote: str | None,
    as_json: bool,
) -> int:
    """Run the workflow, or the chosen steps of it.

    SELECT names steps (ID, STAGE/ID, STAGE/ID/CELL) or stages; a "+" behind it adds everything that waits for it.
    What is missing (tools, secrets) is said before anything runs. Without --revision the steps work in this checkout.
    """
    from maestro.cli.running import Shown, run_once

    asked = Asked(select, only, assignments, revision, base)
    shown = Shown(options, verbose=verbose, as_json=as_json)
    if watch:
        if revision or remote:
            raise click.UsageError("--watch follows this checkout; it does not go with --revision or --remote")
        from maestro.cli.watch import watch_and_run

        return watch_and_run(options, asked, shown, max_concurrent)
    if remote:
        from maestro.cli.remote_run import run_remotely

        return run_remotely(options, asked, shown, remote)
    return run_once(options, asked, shown, max_concurrent)
