"""A rebuild with nothing changed, beside turbo on the same 50-task graph.

A person's second run meets the warm process that the first has started, so that is what is measured as the run; the
same run without it stands beside it. How long the warm process takes until it is ready is told too: a run before that
is one without it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.cli import environment
from bench.projects import commit
from bench.report import Figure, at_most, seconds
from maestro.cli.warm.living import living

COUNT, WIDTH = 50, 10
_MAESTRO = Path(sys.executable).with_name("maestro")
_TURBO = Path(__file__).resolve().parent / "turbo"
_READY_SECONDS = 60.0
_WORK = "seq 1 {size} | gzip -9 | sha256sum > out.txt"


def measure(*, quick: bool) -> list[Figure]:
    """Cold, nothing changed, and one file changed; 50 tasks that compress, in 10 chains."""
    size = 60_000 if quick else 1_200_000
    with tempfile.TemporaryDirectory() as folder:
        ours = _ours(Path(folder) / "ours", size, times=1 if quick else 3)
        turbo = _turbo(Path(folder) / "turbo", size, times=1 if quick else 3)
    cold, noop, alone, one, ready = ours
    return [
        Figure("cold_s", round(cold, 3), "s", "maestro run, empty cache, no warm process"),
        at_most("noop_s", noop, 1.5, "s", "maestro run, nothing changed, from start to exit, with the warm process"),
        at_most("noop_ratio", noop / cold, 0.10, "", "that, over the cold run"),
        Figure("noop_cold_process_s", round(alone, 3), "s", "the same without it: maestro run --no-warm"),
        Figure("warm_ready_s", round(ready, 3), "s", "from the end of the first run until the warm process is ready"),
        Figure("one_changed_s", round(one, 3), "s", "one file changed: its task and the 4 that depend on it"),
        Figure("turbo_cold_s", turbo and round(turbo[0], 3), "s", "turbo, empty cache, the same tasks"),
        Figure("turbo_noop_s", turbo and round(turbo[1], 3), "s", "turbo, nothing changed"),
    ]


def _sources(root: Path) -> None:
    for number in range(COUNT):
        package = root / "packages" / f"p{number}"
        package.mkdir(parents=True)
        (package / "source.txt").write_text(f"{number}\n", encoding="utf-8")


def _ours(root: Path, size: int, times: int) -> tuple[float, float, float, float, float]:
    _sources(root)
    lines = ["name: rebuild", "project: rebuild", "stages:", "  - name: work", "    parallel:"]
    for number in range(COUNT):
        folder = f"packages/p{number}"
        depends = f"        depends_on: [p{number - WIDTH}]\n" if number >= WIDTH else ""
        lines.append(
            f"      - id: p{number}\n        run: shell\n{depends}"
            f"        with: {{command: '{_WORK.format(size=size)}', working_directory: {folder}}}\n"
            f"        inputs: ['{folder}/source.txt']\n        outputs: ['{folder}/out.txt']"
        )
    (root / "maestro.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    commit(root)

    def run(*options: str) -> float:
        return seconds([str(_MAESTRO), "run", *options], cwd=root, env=environment())

    cold = run("--warm")
    ended = time.perf_counter()
    warm = _warm_process(root)
    ready = time.perf_counter() - ended
    try:
        # In turns, so that a busy moment of the machine is one for both.
        pairs = [(run("--warm"), run("--no-warm")) for _ in range(times)]
        (root / "packages" / "p0" / "source.txt").write_text("changed\n", encoding="utf-8")
        one = run("--warm")
        if [process for process in warm if not process.is_running()]:
            raise RuntimeError("the warm process has ended meanwhile: was code changed?")
    finally:
        for process in warm:
            process.terminate()
    noop, alone = (statistics.median(column) for column in zip(*pairs, strict=True))
    return cold, noop, alone, one, ready


def _warm_process(root: Path) -> Sequence[psutil.Process]:
    """Waits until it is ready."""
    deadline = time.monotonic() + _READY_SECONDS
    while not list((root / ".maestro" / "warm").glob("*.sock")):
        if time.monotonic() > deadline:
            raise RuntimeError("no warm process was started")
        time.sleep(0.01)
    return [psutil.Process(one.pid) for one in living(root / ".maestro")]


def _turbo(root: Path, size: int, times: int) -> tuple[float, float] | None:
    """None when npm or turbo cannot be had; turbo comes from npm as bench/turbo/package-lock.json says."""
    binary = _TURBO / "node_modules" / ".bin" / "turbo"
    if not binary.exists():
        try:
            subprocess.run(["npm", "ci", "--silent"], cwd=_TURBO, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
    _sources(root)
    for number in range(COUNT):
        package = {
            "name": f"p{number}",
            "version": "1.0.0",
            "scripts": {"build": _WORK.format(size=size)},
            "dependencies": {f"p{number - WIDTH}": "1.0.0"} if number >= WIDTH else {},
        }
        (root / "packages" / f"p{number}" / "package.json").write_text(json.dumps(package), encoding="utf-8")
    top = {"name": "rebuild", "private": True, "workspaces": ["packages/*"], "packageManager": "npm@11.0.0"}
    (root / "package.json").write_text(json.dumps(top), encoding="utf-8")
    tasks = {"build": {"dependsOn": ["^build"], "inputs": ["source.txt"], "outputs": ["out.txt"]}}
    (root / "turbo.json").write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
    (root / ".gitignore").write_text("node_modules\n.turbo\nout.txt\n", encoding="utf-8")
    subprocess.run(["npm", "install", "--silent", "--offline"], cwd=root, check=True, capture_output=True)
    commit(root)
    run = [str(binary), "run", "build", "--cache=local:rw", "--output-logs=errors-only"]
    quiet = {**environment(), "TURBO_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1", "CI": "1"}
    quiet["PATH"] = os.environ["PATH"]
    cold = seconds(run, cwd=root, env=quiet)
    return cold, statistics.median(seconds(run, cwd=root, env=quiet) for _ in range(times))
