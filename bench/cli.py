"""Start-up of the command line, whole processes."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from bench.projects import shell_steps
from bench.report import Figure, at_most, median, seconds

_MAESTRO = Path(sys.executable).with_name("maestro")


def environment() -> dict[str, str]:
    """The environment, with bytecode written: without it every start compiles everything anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure(*, quick: bool) -> list[Figure]:
    """``maestro --help`` and ``maestro plan`` of 50 steps."""
    times = 3 if quick else 15
    with tempfile.TemporaryDirectory() as folder:
        project = shell_steps(Path(folder) / "fifty", 50, 10, "true", cached=True)

        def run(*arguments: str) -> float:
            return seconds([str(_MAESTRO), *arguments], cwd=project, env=environment())

        run("plan")
        helped = median(lambda: run("--help"), times)
        planned = median(lambda: run("plan"), times)
        python = median(lambda: seconds([sys.executable, "-c", "pass"], cwd=project, env=environment()), times)
    return [
        at_most("help_ms", 1000 * helped, 150, "ms", "maestro --help"),
        at_most("plan_ms", 1000 * planned, 300, "ms", "maestro plan of 50 steps"),
        Figure("python_ms", round(1000 * python, 1), "ms", "an empty Python process, for comparison"),
    ]
