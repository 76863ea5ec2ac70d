"""A rebuild with nothing changed, beside turbo on the same 50-task graph."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cli import environment
from bench.projects import commit
from bench.report import Figure, at_most, seconds

COUNT, WIDTH = 50, 10
_MAESTRO = Path(sys.executable).with_name("maestro")
_TURBO = Path(__file__).resolve().parent / "turbo"
_WORK = "seq 1 {size} | gzip -9 | sha256sum > out.txt"


def measure(*, quick: bool) -> list[Figure]:
    """Cold, nothing changed, and one file changed; 50 tasks that compress, in 10 chains."""
    size = 60_000 if quick else 1_200_000
    with tempfile.TemporaryDirectory() as folder:
        ours = _ours(Path(folder) / "ours", size, times=1 if quick else 3)
        turbo = _turbo(Path(folder) / "turbo", size, times=1 if quick else 3)
    cold, noop, one = ours
    return [
        Figure("cold_s", round(cold, 3), "s", "maestro run, empty cache"),
        at_most("noop_s", noop, 1.5, "s", "maestro run, nothing changed, whole process"),
        at_most("noop_ratio", noop / cold, 0.10, "", "that, over the cold run"),
        Figure("one_changed_s", round(one, 3), "s", "one file changed: its task and the 4 that depend on it"),
        Figure("turbo_cold_s", turbo and round(turbo[0], 3), "s", "turbo, empty cache, the same tasks"),
        Figure("turbo_noop_s", turbo and round(turbo[1], 3), "s", "turbo, nothing changed"),
    ]


def _sources(root: Path) -> None:
    for number in range(COUNT):
        package = root / "packages" / f"p{number}"
        package.mkdir(parents=True)
        (package / "source.txt").write_text(f"{number}\n", encoding="utf-8")


def _ours(root: Path, size: int, times: int) -> tuple[float, float, float]:
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
    run = [str(_MAESTRO), "run"]
    cold = seconds(run, cwd=root, env=environment())
    noop = statistics.median(seconds(run, cwd=root, env=environment()) for _ in range(times))
    (root / "packages" / "p0" / "source.txt").write_text("changed\n", encoding="utf-8")
    return cold, noop, seconds(run, cwd=root, env=environment())


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
