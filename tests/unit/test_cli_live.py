"""The live view of a run on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from maestro.cli.live import Live
from maestro.cli.options import GlobalOptions
from maestro.cli.progress import Started
from maestro.cli.terminal import Terminal
from maestro.cli.tracker import Change
from maestro.runs import RunView, StepView


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_running_steps_are_shown_below_and_finished_ones_stay_above(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    live = Live(Terminal(GlobalOptions(color="never"), screen))
    slow, quick = StepView("build/slow", "waiting"), StepView("build/quick", "waiting")
    live.start(Started("shop at 1234", "0123456789", "1234", (slow, quick)))
    live.change(Change(step=replace(slow, state="running", attempts=1, started=1.0)))
    live.change(Change(step=replace(quick, state="failed", summary="exit code 3", started=1.0, ended=2.5)))
    live.change(Change(note="received a signal", kind="stopping"))
    live.end(RunView("0123456789", "shop", "shop", "1234", "failed"))
    written = screen.getvalue()
    assert "shop at 1234 · run 01234567" in written
    assert "✗ build/quick  1.5 s · exit code 3" in written
    assert "of 2 steps" in written
    assert "Ctrl-C again stops at once" in written
    assert "\x1b[31m" not in written
