"""The PostgreSQL server the tests run on is real, private to them, and gone with them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.integration import postgres_server

# Prints the server's process id, then ends as its input does, or as a signal makes it.
HOLDER = """
import sys, tempfile
from pathlib import Path
from tests.integration.postgres_server import postgres_server
with postgres_server():
    [state] = Path(tempfile.gettempdir()).glob("maestro-postgres-*/data/postmaster.pid")
    print(state.read_text().splitlines()[0], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def passable_folder() -> Iterator[Path]:
    """A folder that the server's user can pass through, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def holder(passable_folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that keeps a server running, and the server's process id."""
    environment = {**os.environ, "TMPDIR": str(passable_folder)}
    argv = [sys.executable, "-c", HOLDER]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        argv, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


def wait_until_gone(process: int) -> None:
    """Waits for the end of a process that is no child of ours."""
    deadline = time.monotonic() + 60
    state = Path(f"/proc/{process}/status")
    # Where nothing adopts orphans, a dead one stays in the table as a zombie.
    while state.exists() and not re.search(r"^State:\s+[ZX]", state.read_text(), re.MULTILINE):
        assert time.monotonic() < deadline, f"PostgreSQL (process {process}) outlived the tests"
        time.sleep(0.02)


def test_each_test_has_an_empty_database_of_its_own(postgres_url: str, postgres_database: str) -> None:
    assert make_url(postgres_url).database != make_url(postgres_database).database
    engine = create_engine(postgres_database)
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_stat_user_tables")) == 0
        connection.execute(text("CREATE TABLE kept (value integer)"))
    engine.dispose()


def test_a_database_is_dropped_though_a_connection_is_left_open(postgres_url: str) -> None:
    with postgres_server.postgres_database(postgres_url) as url:
        name = make_url(url).database
        left_open = create_engine(url).connect()
        left_open.execute(text("SELECT 1"))
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        databases = connection.scalars(text("SELECT datname FROM pg_database")).all()
    engine.dispose()
    assert name not in databases
    left_open.invalidate()
    left_open.close()


def test_a_wrong_password_is_refused(postgres_url: str) -> None:
    engine = create_engine(make_url(postgres_url).set(password="guess"))
    with pytest.raises(OperationalError, match="password authentication failed"):
        engine.connect()


def test_the_server_does_not_run_as_root(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        backend = connection.scalar(text("SELECT pg_backend_pid()"))
        assert Path(f"/proc/{backend}").stat().st_uid != 0
    engine.dispose()


def test_the_server_and_its_files_are_gone_after_use(
    holder: tuple[subprocess.Popen[str], int], passable_folder: Path
) -> None:
    process, server = holder
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0
    wait_until_gone(server)
    assert list(passable_folder.iterdir()) == []


def test_the_server_ends_though_the_tests_are_killed(holder: tuple[subprocess.Popen[str], int]) -> None:
    process, server = holder
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    wait_until_gone(server)


def test_missing_binaries_are_an_error_naming_the_debian_package(tmp_path: Path) -> None:
    with pytest.raises(postgres_server.PostgresUnavailableError, match="install the Debian package postgresql"):
        postgres_server.find_binaries(tmp_path)


def test_the_newest_installed_version_is_taken(tmp_path: Path) -> None:
    for version in ("9", "15", "16"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "initdb").touch()
        (folder / "postgres").touch()
    assert postgres_server.find_binaries(tmp_path) == tmp_path / "16" / "bin"


def test_a_server_that_cannot_be_made_says_why(passable_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres_server.SETTINGS, "max_connections", "none")
    monkeypatch.setattr(tempfile, "tempdir", str(passable_folder))
    with (
        pytest.raises(postgres_server.PostgresUnavailableError, match='invalid value for parameter "max_connections"'),
        postgres_server.postgres_server(),
    ):
        pytest.fail("it started")
    assert list(passable_folder.iterdir()) == []
