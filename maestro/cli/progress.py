"""What is written while a run goes on: lines for people, or JSON objects for machines; ``live`` is the third way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.cli.terminal import STATE_COLORS, Terminal, pad, plural, printable, seconds, width
from maestro.cli.tracker import Change
from maestro.runs import RunView, StepState, StepView

MARKS: dict[StepState, str] = {
    "passed": "✓",
    "cached": "=",
    "warned": "!",
    "failed": "✗",
    "skipped": "-",
    "retrying": "↻",
    "running": "…",
    "waiting": " ",
}
_DONE = frozenset({"passed", "cached", "warned", "failed", "skipped"})


@dataclass(frozen=True, slots=True)
class Started:
    """A run that begins.

    Args:
        title: workflow, project and revision, for people.
        steps: those it is launched with.
    """

    title: str
    run_id: str
    revision: str
    steps: Sequence[StepView]


class Progress(Protocol):
    """Told what happens in a run, from the thread that runs it; lines of steps may come from another."""

    def start(self, run: Started) -> None:
        """The run begins."""
        ...

    def change(self, change: Change) -> None:
        """A step's state changed, or there is something to say about the run."""
        ...

    def output(self, step: StepView, text: str) -> None:
        """A step wrote a line."""
        ...

    def end(self, run: RunView) -> None:
        """The run has ended; its summary comes after."""
        ...


def step_line(terminal: Terminal, step: StepView, columns: int) -> str:
    """One line about a step: mark, name, time, summary."""
    mark = terminal.paint(MARKS[step.state], STATE_COLORS.get(step.state, ""))
    took = seconds(step.ended - step.started) if step.ended and step.started and step.state != "cached" else ""
    words = {"cached": "cached", "skipped": "skipped", "retrying": "tries again", "running": "started"}
    about = " · ".join(
        part for part in (words.get(step.state, ""), took, "" if step.state == "cached" else step.summary) if part
    )
    return f"{mark} {pad(step.step, columns)}  {terminal.paint(printable(about), 'dim')}".rstrip()


class Lines:
    """One line when a step ends; what steps write too, when ``verbose``."""

    def __init__(self, terminal: Terminal, *, verbose: bool) -> None:
        self._terminal = terminal
        self._verbose = verbose
        self._columns = 0
        self._lock = threading.Lock()

    def start(self, run: Started) -> None:
        """Says which run it is."""
        self._columns = max((width(step.step) for step in run.steps), default=0)
        self._write(f"{self._terminal.paint(run.title, 'bold')} · run {run.run_id[:8]}")

    def change(self, change: Change) -> None:
        """A line for a step that has ended or is tried again."""
        step = change.step
        if step is not None and (step.state in _DONE or step.state == "retrying" or self._verbose):
            self._write(step_line(self._terminal, step, self._columns))
        elif change.note is not None:
            self._write(note(self._terminal, change))

    def output(self, step: StepView, text: str) -> None:
        """The line, with the step before it."""
        if self._verbose:
            self._write(f"{self._terminal.paint(f'{pad(step.step, self._columns)} |', 'dim')} {printable(text)}")

    def end(self, run: RunView) -> None:
        """Nothing more; the summary says it."""

    def _write(self, line: str) -> None:
        with self._lock:
            self._terminal.line(line)
            self._terminal.stream.flush()


def note(terminal: Terminal, change: Change) -> str:
    """What is said about the run itself."""
    if change.kind == "stopping":
        return terminal.paint(f"stopping: {change.note}; Ctrl-C again stops at once, without cleaning up", "yellow")
    return terminal.paint(f"{change.kind}: {change.note}", "yellow")


class JsonLines:
    """One JSON object a line: time, level, run, revision, stage, step, attempt, state, message."""

    def __init__(self, terminal: Terminal) -> None:
        self._stream = terminal.stream
        self._run: Started | None = None
        self._lock = threading.Lock()

    def start(self, run: Started) -> None:
        """The run begins."""
        self._run = run
        self._write("info", f"run started: {run.title}", None, "running")

    def change(self, change: Change) -> None:
        """A state, or something about the run."""
        if change.step is None:
            self._write("warning", f"{change.kind}: {change.note}", None)
            return
        level = {"failed": "error", "warned": "warning", "retrying": "warning"}.get(change.step.state, "info")
        text = f"{change.step.state}: {change.step.summary}" if change.step.summary else change.step.state
        self._write(level, text, change.step, change.step.state)

    def output(self, step: StepView, text: str) -> None:
        """What a step wrote."""
        self._write("info", text, step)

    def end(self, run: RunView) -> None:
        """How it ended."""
        self._write("info" if run.state == "succeeded" else "error", f"run {run.state}", None, run.state)

    def _write(self, level: str, message: str, step: StepView | None, state: str | None = None) -> None:
        assert self._run is not None
        line: dict[str, object] = {
            "time": time.time(),
            "level": level,
            "run": self._run.run_id,
            "revision": self._run.revision,
            "stage": step.step.split("/")[0] if step else None,
            "step": step.step if step else None,
            "attempt": step.attempts if step else None,
            "state": state,
            "message": message,
        }
        with self._lock:
            self._stream.write(f"{json.dumps(line, ensure_ascii=False)}\n")
            self._stream.flush()


def counts(steps: Sequence[StepView]) -> str:
    """``3 passed, 1 cached, 1 failed``."""
    order: Sequence[StepState] = ("passed", "cached", "warned", "failed", "skipped", "running", "retrying", "waiting")
    found = [(state, sum(1 for step in steps if step.state == state)) for state in order]
    return ", ".join(f"{count} {state}" for state, count in found if count) or plural(0, "step")
