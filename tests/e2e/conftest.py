"""What the end-to-end tests share: the vulnerable example, as its gate stopped it and as it was released once repaired."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.example import Example, new_example
from tests.once import made_once

# The example has tests of its own, for its own workflow to run.
collect_ignore = ["vulnerable"]


@pytest.fixture(scope="session")
def delivered_example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The vulnerable example after its first run; tests work on copies."""
    folder = made_once(tmp_path_factory, "vulnerable", lambda folder: new_example(folder / "app").run().keep())
    return Example.kept(folder / "app")


@pytest.fixture(scope="session")
def repaired_example(delivered_example: Example, tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The example after a second run, in which nothing is vulnerable any more; tests work on copies."""

    def repair(folder: Path) -> None:
        repaired = delivered_example.copy(folder / "app")
        repaired.vendor("3.1.6")
        repaired.run().keep()

    return Example.kept(made_once(tmp_path_factory, "repaired", repair) / "app")
