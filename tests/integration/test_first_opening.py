"""The SQLite files of a new project are made once, by whoever comes first, and made anew where they are broken."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from maestro.profile import load_profile
from maestro_defs.instance import open_home, prepare_home

AT_ONCE, ROUNDS = 6, 5


def run_in(home: Path, run_id: str) -> list[str]:
    """Opens the instance, writes an event of a run, and gives what is read of it."""
    profile = load_profile("default")
    with open_home(prepare_home(home, profile), profile) as instance:
        instance.store_event(dg.EventLogEntry(None, 10, f"from {run_id}", run_id, time.time(), None, "bakery", None))  # type: ignore[no-untyped-call] # Dagster's is.
        instance.add_dynamic_partitions("revisions", [run_id])
        return [one.message for one in instance.all_logs(run_id)]


def run_when_all_are_there(home: Path, run_id: str, ready: Path) -> list[str]:
    """As ``run_in``, when every process of the round has come so far."""
    (ready / run_id).touch()
    while len(list(ready.iterdir())) < AT_ONCE:
        pass
    return run_in(home, run_id)


def test_processes_that_open_a_new_project_at_once_can_all_run_in_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(AT_ONCE, mp_context=context) as pool:
        for number in range(ROUNDS):
            home, ready = tmp_path / f"home-{number}", tmp_path / f"ready-{number}"
            home.mkdir()
            ready.mkdir()
            ids = [f"run-{one}" for one in range(AT_ONCE)]
            read = [pool.submit(run_when_all_are_there, home, id, ready) for id in ids]
            assert [one.result() for one in read] == [[f"from {id}"] for id in ids]
            assert run_in(home, "later") == ["from later"]
            assert not list((home / "history" / "runs").glob("empty-run-template*"))


def broken_by(home: Path, content: bytes | None) -> None:
    template = home / "empty-run.db"
    template.unlink()
    if content is not None:
        template.write_bytes(content)


def without_tables(tmp_path: Path) -> bytes:
    file = tmp_path / "no-tables.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    return file.read_bytes()


@pytest.mark.parametrize("kind", ["empty", "gone", "without tables", "no database"])
def test_a_project_whose_empty_run_database_is_broken_repairs_it_at_the_next_run(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    run_in(home, "before")
    content = {"empty": b"", "gone": None, "without tables": without_tables(tmp_path), "no database": b"x" * 8192}
    broken_by(home, content[kind])
    assert run_in(home, "after") == ["from after"]
    with sqlite3.connect(home / "empty-run.db") as connection:
        assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (0,)


def test_a_run_whose_database_was_copied_from_an_empty_one_can_be_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    run_in(home, "before")
    (home / "history" / "runs" / "lost.db").touch()
    profile = load_profile("default")
    with open_home(home, profile) as instance:
        assert instance.all_logs("lost") == []
