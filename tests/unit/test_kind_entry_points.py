"""Every step kind the package declares loads, describes itself, and does without Dagster."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from maestro.steps import StepKind

ROOT = Path(__file__).parents[2]
POINTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
    "maestro.steps"
]
OURS = {name: point for name, point in POINTS.items() if point.startswith("assets.")}


@pytest.mark.parametrize("name", OURS)
def test_an_entry_point_holds_the_kind_of_its_name_with_every_parameter_described(name: str) -> None:
    module, _, constant = OURS[name].partition(":")
    kind = getattr(import_module(module), constant)
    assert isinstance(kind, StepKind)
    assert kind.name == name
    assert kind.summary.endswith(".")
    assert 1 <= len(kind.dagster_kinds) <= 2
    undescribed = [key for key, field in kind.params.model_fields.items() if not field.description]
    assert undescribed == []


def test_no_kind_imports_dagster() -> None:
    modules = sorted({point.partition(":")[0] for point in OURS.values()})
    code = f"import sys, {', '.join(modules)}; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
