"""One run from plan to summary, as ``run``, ``run --watch`` and ``retry`` do it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from maestro.cli.options import GlobalOptions
from maestro.cli.plan import missing_advice, title
from maestro.cli.prepare import Asked, Prepared, open_project, prepared
from maestro.cli.progress import JsonLines, Lines, Progress
from maestro.cli.summary import show_summary
from maestro.cli.terminal import Terminal
from maestro.cli.tracker import Change
from maestro.errors import InputError


@dataclass(frozen=True, slots=True)
class Shown:
    """How a run is shown.

    Args:
        as_json: progress goes to standard error, and one object for the whole run to standard output.
    """

    options: GlobalOptions
    verbose: bool = False
    as_json: bool = False

    @property
    def json_lines(self) -> bool:
        """Whether progress is JSON."""
        return self.options.log_format == "json"

    @property
    def streams(self) -> bool:
        """Whether lines of steps are shown while they run."""
        return self.verbose or self.json_lines

    def terminal(self) -> Terminal:
        """Where progress goes."""
        return Terminal(self.options, sys.stderr if self.as_json else sys.stdout)

    def progress(self, terminal: Terminal) -> Progress:
        """What shows a run's progress."""
        if self.json_lines:
            return JsonLines(terminal)
        if terminal.interactive and not self.verbose:
            from maestro.cli.live import Live

            return Live(terminal)
        return Lines(terminal, verbose=self.verbose)


def run_once(options: GlobalOptions, asked: Asked, shown: Shown, max_concurrent: int | None) -> int:
    """Plans and runs; the exit code."""
    from maestro.cli.local_run import Settings

    with prepared(open_project(options), asked) as ready:
        refuse_missing(ready)
        return run_prepared(
            ready, shown, Settings(max_concurrent=max_concurrent, stream=shown.streams, recorded=shown.as_json)
        )


def refuse_missing(ready: Prepared) -> None:
    """Stops before anything runs when a tool or a secret is not there.

    Raises:
        InputError: lists each with how to get it.
    """
    advice = missing_advice(ready)
    if advice:
        listed = "".join(f"\n    {line}" for line in advice)
        raise InputError(f"nothing was run, because something is missing:{listed}", next_step="get it, then run again")


def run_prepared(ready: Prepared, shown: Shown, settings: object) -> int:
    """Runs a plan and shows how it went; the exit code."""
    from maestro.cli.local_run import Settings, carry_out

    assert isinstance(settings, Settings)
    terminal = shown.terminal()
    if not ready.plan.selection:
        terminal.line(f"{title(ready)}: nothing to run, every step is skipped")
        return 0
    progress = shown.progress(terminal)
    ended = carry_out(ready, title(ready), settings, progress)
    if shown.json_lines:
        for sentence in ended.budgets:
            progress.change(Change(note=sentence, kind="budget"))
    else:
        show_summary(terminal, ended.view, ended.tracker.tail, ended.skipped, ended.budgets)
    if shown.as_json:
        Terminal(shown.options).json(ended.view.to_json())
    return ended.exit_code
