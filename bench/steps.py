"""Overhead of a step: Maestro's executor beside Dagster's own, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.projects import shell_steps
from bench.report import Figure, at_most
from maestro.profile import load_profile
from tests.integration.postgres_server import postgres_database, postgres_server

_HERE = Path(__file__).resolve().parent.parent


def measure(*, quick: bool) -> list[Figure]:
    """50 steps of ``true`` in 10 chains; 1,000 of them; 50 steps of 0.2 s, 8 at a time."""
    times = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        small = shell_steps(base / "fifty", 50, 10, "true")
        ours = [_ours(small) for _ in range(times)]
        stock = _stock(base / "stock-home", {})
        overhead = statistics.median(ours) / 50
        scale = 200 if quick else 1000
        large = shell_steps(base / "large", scale, 10, "true")
        per_step_large = _ours(large) / scale
        parallel = shell_steps(base / "parallel", 50, 50, "sleep 0.2")
        ideal = -(-50 // 8) * 0.2
        wide = statistics.median(_ours(parallel, _limited(base, 8)) for _ in range(times))
        on_postgres = _postgres_ratio(base, small, times)
    return [
        at_most("overhead_ms", 1000 * overhead, 25, "ms", "a step of 50, width 10, SQLite"),
        at_most("stock_ratio", overhead / (stock / 50), 1 / 40, "", "that, over Dagster's multiprocess executor"),
        at_most("postgres_stock_ratio", on_postgres, 1 / 30, "", "the same ratio on PostgreSQL"),
        at_most("scale_1000_ratio", per_step_large / overhead, 1.3, "", f"a step of {scale:,} over a step of 50"),
        at_most("parallel_ratio", wide / ideal, 1.25, "", "50 steps of 0.2 s, 8 at a time, over the ideal"),
        Figure("stock_overhead_ms", round(1000 * stock / 50, 1), "ms", "a step, Dagster's multiprocess executor"),
    ]


def _limited(base: Path, limit: int) -> dict[str, str]:
    folder = base / f"profile-{limit}"
    if not folder.exists():
        shutil.copytree(load_profile("default").folder, folder)
        settings = folder / "settings.yaml"
        settings.write_text(settings.read_text().replace("max_concurrent: null", f"max_concurrent: {limit}"))
    return {"MAESTRO_PROFILE": f"{folder}/"}


def _postgres_ratio(base: Path, project: Path, times: int) -> float:
    with postgres_server() as server, postgres_database(server) as ours_url, postgres_database(server) as stock_url:
        ours_env = {"MAESTRO_PROFILE": "postgres", "MAESTRO_POSTGRES_URL": ours_url}
        ours = statistics.median(_ours(project, ours_env) for _ in range(times))
        home = base / "stock-postgres"
        home.mkdir()
        (home / "dagster.yaml").write_text(load_profile("postgres").dagster_yaml.read_text())
        return ours / _stock(home, {"MAESTRO_POSTGRES_URL": stock_url})


def _ours(project: Path, extra: Mapping[str, str] | None = None) -> float:
    return _seconds([sys.executable, "-m", "bench.ours"], project, extra or {})


def _stock(home: Path, extra: Mapping[str, str]) -> float:
    home.mkdir(exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return _seconds([sys.executable, "-m", "bench.stock"], _HERE, {"DAGSTER_HOME": str(home), **extra})


def _seconds(argv: list[str], cwd: Path, extra: Mapping[str, str]) -> float:
    environment = {**os.environ, "PYTHONPATH": str(_HERE), **extra}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds"])
