"""Figures and the table they are printed in."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Args:
        value: None when it could not be measured here.
        goal: what it should be, for people; empty when it stands beside another only.
    """

    key: str
    value: float | None
    unit: str
    about: str
    goal: str = ""
    met: bool | None = None


def at_most(key: str, value: float | None, limit: float, unit: str, about: str) -> Figure:
    """A figure that should not be larger than ``limit``."""
    met = None if value is None else value <= limit
    return Figure(key, None if value is None else round(value, 4), unit, about, f"<= {limit:g}", met)


def table(name: str, figures: Sequence[Figure]) -> str:
    """The figures as text, with the machine."""
    rows = [("key", "value", "goal", "", "what")]
    for one in figures:
        value = "not measured" if one.value is None else f"{one.value:g} {one.unit}".strip()
        verdict = "" if one.met is None else ("met" if one.met else "MISSED")
        rows.append((one.key, value, one.goal, verdict, one.about))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    return "\n".join([f"bench {name} on {machine()}", "", *(line.rstrip() for line in lines)])


def machine() -> str:
    """The machine in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def seconds(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """Wall time of a whole process; raises when it fails."""
    began = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, check=False)
    spent = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout.decode()}{done.stderr.decode()}"
        )
    return spent


def median(measure: Callable[[], float], times: int) -> float:
    """The median of several measurements."""
    return statistics.median(measure() for _ in range(times))
