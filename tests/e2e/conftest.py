"""What the end-to-end tests share: the vulnerable example, as its gate stopped it and as it was released once repaired."""

from __future__ import annotations

import pytest

from tests.e2e.example import Example, new_example

# The example has tests of its own, for its own workflow to run.
collect_ignore = ["vulnerable"]


@pytest.fixture(scope="session")
def delivered_example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The vulnerable example after its first run; tests work on copies."""
    return new_example(tmp_path_factory.mktemp("vulnerable") / "app").run()


@pytest.fixture(scope="session")
def repaired_example(delivered_example: Example, tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The example after a second run, in which nothing is vulnerable any more; tests work on copies."""
    repaired = delivered_example.copy(tmp_path_factory.mktemp("repaired") / "app")
    repaired.vendor("3.1.6")
    return repaired.run()
