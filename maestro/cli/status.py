"""``maestro status``."""

from __future__ import annotations

import time

import click

from maestro.cli.complete import complete_run
from maestro.cli.options import JSON_OPTION, REMOTE_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable, seconds
from maestro.runs import RunView, StepView


@example_command(
    "status",
    example="""maestro status                 # the newest runs
maestro status latest          # one run with its steps
maestro status 3fa9 --json""",
)
@click.argument("run", required=False, shell_complete=complete_run)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Runs to list.")
@REMOTE_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, run: str | None, limit: int, remote: str | None, as_json: bool) -> int:
    """List runs, or show the steps of one.

    RUN is an id, the first characters of one, or "latest".
    """
    from maestro.cli.runs_source import open_runs

    terminal = Terminal(options)
    with open_runs(options, remote) as runs:
        if run is not None:
            view = runs.get(run)
            if as_json:
                terminal.json(view.to_json())
            else:
                show_run(terminal, view)
            return 0
        found = runs.list(limit)
    if as_json:
        terminal.json({"runs": [one.to_json() for one in found]})
    elif not found:
        terminal.line("no run yet; start one with: maestro run")
    else:
        show_runs(terminal, found)
    return 0


def show_runs(terminal: Terminal, runs: list[RunView]) -> None:
    """A table of runs, the newest first."""
    rows = [
        (one.run_id[:8], one.state, one.workflow, short(one.revision), _ago(one.created), _took(one)) for one in runs
    ]
    for line in terminal.table(("RUN", "STATE", "WORKFLOW", "REVISION", "STARTED", "TOOK"), rows, painted=1):
        terminal.line(line)
    for one in runs:
        if one.error:
            terminal.line(f"{one.run_id[:8]}: {printable(one.error)}")


def show_run(terminal: Terminal, run: RunView) -> None:
    """One run with its steps."""
    terminal.line(f"run {run.run_id} {terminal.state(run.state)}")
    terminal.line(f"{run.workflow} of {run.project} at {run.revision or 'no revision'}")
    if run.resumes:
        terminal.line(f"resumes {run.resumes}")
    terminal.line(f"started {_ago(run.created)}, took {_took(run) or 'no time yet'}")
    if run.error:
        for line in f"error: {run.error}".splitlines():
            terminal.line(terminal.paint(printable(line), "red"))
    terminal.line()
    if run.steps:
        rows = [(step.step, step.state, _step_took(step.started, step.ended), _about(step)) for step in run.steps]
        for line in terminal.table(("STEP", "STATE", "TOOK", "SUMMARY"), rows, painted=1):
            terminal.line(line)
    for compensation in run.compensations:
        terminal.line(f"compensation: {printable(compensation)}")


def _about(step: StepView) -> str:
    again = f"{step.attempts} attempts; " if step.attempts > 1 else ""
    return again + printable(step.summary)


def short(revision: str) -> str:
    """A revision as tables show it."""
    return revision if revision.startswith("worktree-") else revision[:12]


def _ago(moment: float | None) -> str:
    return f"{seconds(max(0.0, time.time() - moment))} ago" if moment else ""


def _took(run: RunView) -> str:
    ended = run.ended or (None if run.finished else time.time())
    return seconds(ended - run.started) if run.started and ended else ""


def _step_took(started: float | None, ended: float | None) -> str:
    return seconds(ended - started) if started and ended else ""
