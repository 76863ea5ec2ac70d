"""A run on a terminal: finished steps scroll by, running ones stay below with their time."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.spinner import Spinner
from rich.text import Text

from maestro.cli.progress import Started, note, step_line
from maestro.cli.terminal import Terminal, plural, seconds, width
from maestro.cli.tracker import Change
from maestro.runs import RunView, StepView

_OPEN = ("running", "retrying")
_UNENDED = (*_OPEN, "waiting")
_SHOWN = 12


class Live:
    """The live view."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._console = Console(
            file=terminal.stream,
            force_terminal=True,
            no_color=not terminal.colored,
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        self._steps: dict[str, StepView] = {}
        self._columns = 0
        self._started = time.time()
        self._spinner = Spinner("dots")
        self._live: RichLive | None = None

    def start(self, run: Started) -> None:
        """Shows the title and begins to draw."""
        self._steps = {step.step: step for step in run.steps}
        self._columns = max((width(step.step) for step in run.steps), default=0)
        self._started = time.time()
        self._terminal.line(f"{self._terminal.paint(run.title, 'bold')} · run {run.run_id[:8]}")
        self._live = RichLive(console=self._console, refresh_per_second=8, transient=True, get_renderable=self._shown)
        self._live.start()

    def change(self, change: Change) -> None:
        """A step that has ended is written above what is running."""
        step = change.step
        if step is None:
            self._above(note(self._terminal, change))
            return
        self._steps[step.step] = step
        if step.state not in ("running", "waiting"):
            self._above(step_line(self._terminal, step, self._columns))

    def output(self, step: StepView, text: str) -> None:
        """Lines of steps are not shown here."""

    def end(self, run: RunView) -> None:
        """Takes the live part away."""
        if self._live is not None:
            self._live.stop()

    def _above(self, line: str) -> None:
        self._console.print(Text.from_ansi(line))

    def _shown(self) -> Group:
        running = [step for step in self._steps.values() if step.state in _OPEN]
        ended = sum(1 for step in self._steps.values() if step.state not in _UNENDED)
        now = time.time()
        lines: list[Text] = []
        for step in running[:_SHOWN]:
            mark = self._spinner.render(self._console.get_time())
            took = seconds(now - step.started) if step.started else ""
            again = f" · attempt {step.attempts}" if step.attempts > 1 else ""
            lines.append(Text.assemble(mark if isinstance(mark, Text) else "", f" {step.step}  {took}{again}"))
        if len(running) > _SHOWN:
            lines.append(Text(f"  and {len(running) - _SHOWN} more"))
        cached = sum(1 for step in self._steps.values() if step.state == "cached")
        total = f"{ended} of {plural(len(self._steps), 'step')}, {cached} cached, {seconds(now - self._started)}"
        lines.append(Text(total, style="dim" if self._terminal.colored else ""))
        return Group(*lines)
