"""A package of somebody else's adds a step kind by its entry point, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests/example_plugin"

USE = """
import json, pathlib, sys
from maestro.steps import Registry
from tests.unit.step_harness import harness

registry = Registry()
listed = "example.greet" in registry.names and "maestro_example.greet" not in sys.modules
step = harness(pathlib.Path(sys.argv[1]))
kind = registry.get("example.greet")
result = step.run(kind, name="Ada")
print(json.dumps({
    "listed": listed,
    "nearest": registry.nearest("example.gret"),
    "does": kind.describe(kind.params(name="Ada")),
    "summary": result.summary,
    "text": (step.workspace / result.outputs[0].path).read_text(),
    "dagster": "dagster" in sys.modules,
}))
"""


def test_an_installed_package_adds_a_step_kind_that_is_found_loaded_and_run(tmp_path: Path) -> None:
    # A copy: building leaves files behind.
    source, site, work = tmp_path / "source", tmp_path / "site", tmp_path / "work"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("__pycache__"))
    work.mkdir()
    install = ["-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    installed = subprocess.run([sys.executable, *install, str(source)], capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    used = subprocess.run(
        [sys.executable, "-c", USE, str(work)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    assert json.loads(used.stdout) == {
        "listed": True,
        "nearest": "example.greet",
        "does": "Greets Ada.",
        "summary": "Hello, Ada!",
        "text": "Hello, Ada!\n",
        "dagster": False,
    }
