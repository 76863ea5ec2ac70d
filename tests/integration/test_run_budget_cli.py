"""``maestro run`` where no conductor watches the budgets: it tells itself what passed a threshold while it ran."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = """\
name: flow
project: shop
budget: {month: {runs: 2}}
stages:
  - name: all
    steps:
      - {id: one, run: shell, with: {command: 'echo done'}}
"""
USED_UP = [
    "is used by 80 %: 2 runs of 2 runs",
    "is used by 95 %: 2 runs of 2 runs",
    "is used by 100 %: 2 runs of 2 runs",
]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "maestro.yaml").write_text(WORKFLOW)
    return tmp_path


def run(shop: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("maestro")), *options, "run"]
    return subprocess.run(command, cwd=shop, capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL)


def test_the_summary_names_each_threshold_the_run_has_passed_and_none_of_an_earlier_one(shop: Path) -> None:
    first = run(shop)
    assert (first.returncode, "budget:" in first.stdout) == (0, False), first.stderr
    second = run(shop)
    assert second.returncode == 0, second.stderr
    told = [line for line in second.stdout.splitlines() if line.startswith("budget: the budget of project:local/shop@")]
    assert [words in line for words, line in zip(USED_UP, told, strict=True)] == [True, True, True]
    assert second.stdout.splitlines()[-1].startswith("succeeded")
    refused = run(shop)
    assert refused.returncode == 1
    assert "2 runs are spent" in refused.stdout + refused.stderr
    assert "budget: " not in refused.stdout


def test_in_lines_of_json_they_are_warnings(shop: Path) -> None:
    run(shop)
    lines = [json.loads(line) for line in run(shop, "--log-format", "json").stdout.splitlines()]
    told = [one["message"] for one in lines if one["level"] == "warning"]
    assert [message.startswith("budget: the budget of project:local/shop@") for message in told] == [True, True, True]
