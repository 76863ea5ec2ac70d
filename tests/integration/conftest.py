"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.profile import load_profile
from tests.integration.delivery import Delivery


@pytest.fixture(params=["default", "postgres"])
def delivery(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Delivery]:
    """A new repository, once with SQLite and once with a real PostgreSQL server."""
    if request.param == "postgres":
        monkeypatch.setenv("MAESTRO_POSTGRES_URL", request.getfixturevalue("postgres_database"))
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root, load_profile(request.param))
    made.git("init", "-q", "-b", "main")
    yield made
