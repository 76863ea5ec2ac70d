"""What is said when a run has ended: counts, failed steps with the end of their logs, what was undone, what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maestro.cli.progress import counts
from maestro.cli.terminal import Terminal, printable, seconds
from maestro.runs import RunView, StepView

_LINES = 20


def show_summary(
    terminal: Terminal,
    run: RunView,
    tail: Callable[[str, int], Sequence[str]],
    left_out: Sequence[StepView] = (),
    budgets: Sequence[str] = (),
) -> None:
    """The end of a run for people.

    Args:
        tail: the last lines of a step's log.
        left_out: steps the plan skipped.
        budgets: sentences about budgets that passed a threshold meanwhile.
    """
    short = run.run_id[:8]
    for step in run.steps:
        if step.state != "failed":
            continue
        terminal.line()
        terminal.line(f"{terminal.paint(f'✗ {step.step}', 'red', 'bold')}: {printable(step.summary) or 'failed'}")
        for line in tail(step.step, _LINES):
            terminal.line(f"  {terminal.paint('|', 'dim')} {printable(line)}")
        terminal.line(terminal.paint(f"  all of it: maestro logs {short} {step.step}", "dim"))
    terminal.line()
    if run.error:
        for line in f"error: {run.error}".splitlines():
            terminal.line(terminal.paint(printable(line), "red"))
    for compensation in run.compensations:
        terminal.line(f"compensation: {printable(compensation)}")
    for sentence in budgets:
        terminal.line(terminal.paint(f"budget: {printable(sentence)}", "yellow"))
    took = f" in {seconds(run.ended - run.started)}" if run.ended and run.started else ""
    terminal.line(f"{terminal.state(run.state)}{took}: {counts([*run.steps, *left_out])}")
    if run.state in ("failed", "cancelled"):
        terminal.line(terminal.paint(f"  next: maestro retry {short}", "dim"))
