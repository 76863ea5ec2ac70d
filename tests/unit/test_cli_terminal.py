"""What is written for people."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from maestro.cli.log_tail import LogTail
from maestro.cli.options import GlobalOptions
from maestro.cli.terminal import Terminal, plural, printable, seconds, size


@pytest.mark.parametrize(
    ("value", "shown"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (9.97, "10 s"), (61, "1 min 1 s"), (7500, "2 h 5 min")]
)
def test_times_are_short(value: float, shown: str) -> None:
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 * 1024**2, "20 MiB"), (1024**4, "1.0 TiB")],
)
def test_sizes_have_units(count: int, shown: str) -> None:
    assert size(count) == shown


def test_one_is_singular() -> None:
    assert (plural(1, "step"), plural(0, "step")) == ("1 step", "0 steps")


def test_what_a_step_wrote_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\rc") == "a [2Jb c"


def test_there_are_no_colours_but_on_a_terminal_or_when_asked_for() -> None:
    plain = Terminal(GlobalOptions(), io.StringIO())
    assert plain.paint("x", "red") == "x"
    colored = Terminal(GlobalOptions(color="always"), io.StringIO())
    assert colored.paint("x", "red") == "\x1b[31mx\x1b[0m"


def test_a_table_is_aligned_also_with_wide_letters() -> None:
    terminal = Terminal(GlobalOptions(), io.StringIO())
    assert terminal.table(("A", "B"), [("検査", "x"), ("abcdef", "y")]) == ["A       B", "検査    x", "abcdef  y"]


def test_a_growing_log_is_given_line_by_line_and_its_torn_end_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    found: list[tuple[str, str]] = []
    first = threading.Event()

    def take(step: str, line: str) -> None:
        found.append((step, line))
        first.set()

    tail = LogTail(take)
    tail.start("a", log)
    log.write_bytes(b"one\ntw")
    assert first.wait(10)
    with log.open("ab") as file:
        file.write(b"o\nthree")
    tail.finish("a")
    tail.close()
    assert found == [("a", "one"), ("a", "two"), ("a", "three")]
