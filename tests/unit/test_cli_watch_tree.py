"""What ``maestro run --watch`` compares after a save: the same trouble is no change, however often it is heard of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from maestro.cli.options import GlobalOptions
from maestro.cli.watch import _tree

WORKFLOW = "name: w\nproject: shop\nstages: [{name: a, steps: [{run: shell, with: {command: 'true'}}]}]\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "maestro.yaml").write_text(WORKFLOW)
    return tmp_path


def test_a_saved_file_makes_another_tree_and_its_old_content_the_tree_of_before(shop: Path) -> None:
    options = GlobalOptions(project=shop)
    before = _tree(options)
    (shop / "one.txt").write_text("1\n")
    assert _tree(options) != before
    (shop / "one.txt").unlink()
    assert _tree(options) == before


def test_a_workflow_that_cannot_be_read_is_the_same_until_something_else_is_wrong_with_it(shop: Path) -> None:
    options = GlobalOptions(project=shop)
    whole = _tree(options)
    (shop / "maestro.yaml").write_text("name: [")
    broken = _tree(options)
    assert broken != whole
    (shop / "maestro.yaml").write_text("name: [")
    assert _tree(options) == broken
    (shop / "maestro.yaml").write_text("")
    assert _tree(options) not in (broken, whole)
    (shop / "maestro.yaml").write_text(WORKFLOW)
    assert _tree(options) == whole
