"""A run that fails outside its steps says why, and its steps are told as they were."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.product import Product

WORKFLOW = """
    name: deliver
    project: shop
    stages:
      - name: build
        steps:
          - {id: spoil, run: shell, with: {command: 'echo junk > .git/index'}}
    """


def test_a_run_whose_end_goes_wrong_says_why(tmp_path: Path) -> None:
    product = Product.new(tmp_path / "shop", {"maestro.yaml": WORKFLOW})
    ended = product.maestro("run", "--json")
    assert ended.code == 1, ended.text
    run = ended.json()
    assert [(step["step"], step["state"]) for step in run["steps"]] == [("build/spoil", "passed")]
    assert run["state"] == "failed"
    assert "git status failed" in run["error"]
    assert "index file" in run["error"]
    assert f"error: {run['error'].splitlines()[0]}" in ended.err
    assert "Traceback" not in ended.text
