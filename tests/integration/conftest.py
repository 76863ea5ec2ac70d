"""Fixtures of the integration tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.profile import load_profile
from maestro.server.home import find_server
from maestro_defs.instance import dagster_home, open_home, prepare_home
from maestro_defs.server import Server
from tests.integration.delivery import Delivery
from tests.integration.postgres_server import postgres_database


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``DAGSTER_HOME`` with empty SQLite files; half a second is saved for each test that takes a copy."""
    profile = load_profile("default")
    home = prepare_home(tmp_path_factory.mktemp("made-home"), profile)
    with open_home(home, profile):
        return home


@pytest.fixture(scope="session")
def made_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's ``DAGSTER_HOME`` with empty SQLite files, for copies as well."""
    # Opening it names its home in the environment.
    with pytest.MonkeyPatch.context() as patch:
        home = find_server(tmp_path_factory.mktemp("made-server") / "home", environ={})
        patch.setenv("MAESTRO_SERVER_HOME", str(home.folder))
        with Server(home).instance():
            return home.dagster


@pytest.fixture(scope="session")
def made_database(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a database with Dagster's empty tables, for copies, and with nobody connected."""
    profile = load_profile("postgres")
    with pytest.MonkeyPatch.context() as patch, postgres_database(postgres_url) as url:
        patch.setenv("MAESTRO_POSTGRES_URL", url)
        with open_home(prepare_home(tmp_path_factory.mktemp("made-database"), profile), profile):
            pass
        patch.undo()
        yield url


@pytest.fixture(params=["default", "postgres"])
def delivery(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Delivery]:
    """A new repository, once with SQLite and once with a real PostgreSQL server."""
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root, load_profile(request.param))
    made.git("init", "-q", "-b", "main")
    if request.param == "default":
        shutil.copytree(
            request.getfixturevalue("made_home"), dagster_home(made.project, made.profile), dirs_exist_ok=True
        )
        yield made
        return
    template = request.getfixturevalue("made_database")
    with postgres_database(request.getfixturevalue("postgres_url"), template) as url:
        monkeypatch.setenv("MAESTRO_POSTGRES_URL", url)
        yield made
