"""The lines of running steps' logs, as they are written."""

from __future__ import annotations

import time
from collections.abc import Iterator

from maestro.runs.client import News
from maestro.runs.event import LogKey, Reader
from maestro.runs.fold import RunFold
from maestro.runs.lines import Lines
from maestro.runs.view import StepView


class FollowedLogs:
    """Logs of the steps of one run; a step's lines all come before the news that it ended."""

    def __init__(self, reader: Reader, fold: RunFold) -> None:
        self._reader = reader
        self._fold = fold
        self._open: dict[str, StepView] = {}
        # By log, not by step: steps of Dagster's in-process executor share one, a step at a time.
        self._offsets: dict[LogKey, int] = {}
        self._lines: dict[LogKey, Lines] = {}

    def of_step(self, step: StepView) -> Iterator[News]:
        """What ``step`` wrote before it came into this state."""
        if step.state == "waiting":
            return
        if step.state == "running":
            self._open[step.step] = step
            return
        before = self._open.pop(step.step, None)
        if before is None:
            return
        yield from self._drain({before.step: before})
        if step.state == "retrying":
            self._open[step.step] = before
        else:
            yield from self._flush(before)

    def lines(self) -> Iterator[News]:
        """The lines that running steps completed since."""
        yield from self._next_part(self._open)

    def rest(self) -> Iterator[News]:
        """Everything that is left, when the run has ended."""
        yield from self._drain(self._open)
        for step in self._open.values():
            yield from self._flush(step)
        self._open.clear()

    def _drain(self, steps: dict[str, StepView]) -> Iterator[News]:
        while True:
            before = dict(self._offsets)
            yield from self._next_part(steps)
            if before == self._offsets:
                return

    def _next_part(self, steps: dict[str, StepView]) -> Iterator[News]:
        owners = {key: step for step in steps.values() for key in self._fold.logs(step.step)}
        if not owners:
            return
        parts = self._reader.logs({key: self._offsets.get(key, 0) for key in owners})
        for key, (data, offset) in parts.items():
            self._offsets[key] = offset
            for line in self._lines.setdefault(key, Lines()).take(data):
                yield News(time.time(), step=owners[key], text=line)

    def _flush(self, step: StepView) -> Iterator[News]:
        for key in self._fold.logs(step.step):
            for line in self._lines.setdefault(key, Lines()).rest():
                yield News(time.time(), step=step, text=line)
