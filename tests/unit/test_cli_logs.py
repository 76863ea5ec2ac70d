"""``maestro logs``: what steps have written does nothing to a terminal, and a file gets it as it was written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from maestro.cli.logs import _show
from maestro.cli.options import GlobalOptions
from maestro.cli.terminal import Terminal

WRITTEN = b"\x1b]0;owned\x07red \x1b[31mtext\x1b[0m\nnul\0 and\ttab\n"


@dataclass
class Step:
    step: str = "a/b"
    state: str = "passed"
    started: float | None = 1.0


@dataclass
class Kept:
    """One run with one step."""

    run_id: str = "r1"
    steps: list[Step] = field(default_factory=lambda: [Step()])

    def get(self, _run: str) -> Kept:
        return self

    def log(self, _run: str, _step: str) -> Iterator[bytes]:
        yield WRITTEN[:9]
        yield WRITTEN[9:]


class Screen(io.TextIOWrapper):
    """A terminal, or a pipe."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def seen(self) -> bytes:
        self.flush()
        data: Any = self.buffer
        return bytes(data.getvalue())


def shown(monkeypatch: pytest.MonkeyPatch, step: str | None, *, is_terminal: bool, as_json: bool = False) -> bytes:
    screen = Screen(is_terminal=is_terminal)
    monkeypatch.setattr("sys.stdout", screen)
    runs: Any = Kept()
    _show(Terminal(GlobalOptions(color="never")), runs, "latest", step, as_json=as_json)
    return screen.seen()


def test_a_terminal_gets_lines_without_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, "a/b", is_terminal=True) == b"red text\nnul  and\ttab\n"


def test_a_file_gets_one_step_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, "a/b", is_terminal=False) == WRITTEN


@pytest.mark.parametrize("is_terminal", [True, False])
def test_all_steps_together_are_for_people_and_have_no_codes(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    assert shown(monkeypatch, None, is_terminal=is_terminal).endswith(b"red text\nnul  and\ttab\n")


def test_json_keeps_every_character_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, None, is_terminal=True, as_json=True).splitlines()
    assert b"\x1b" not in b"".join(lines)
    assert [json.loads(line)["message"] for line in lines] == WRITTEN.decode().splitlines()
