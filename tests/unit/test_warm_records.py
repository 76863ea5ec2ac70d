"""Which worker has which run, and whether it is still that worker."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.server.home import ServerHome, find_server
from maestro_defs.warm.processes import ProcessName, this_process
from maestro_defs.warm.records import Records, WorkerRecord

HERE = os.uname().nodename


@pytest.fixture
def home(tmp_path: Path) -> ServerHome:
    return find_server(tmp_path / "home")


def record(run_id: str = "one", process: ProcessName | None = None) -> WorkerRecord:
    return WorkerRecord(run_id, HERE, process or this_process())


def ended_process() -> ProcessName:
    with subprocess.Popen(["sleep", "1000"]) as process:
        fields = Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        name = replace(this_process(), pid=process.pid, started=int(fields[19]))
        assert name.alive
        process.kill()
    return name


def test_a_record_is_found_as_it_was_written(home: ServerHome) -> None:
    Records(home).put(record())
    assert Records(home).get("one") == record()
    assert Records(home).all() == [record()]


def test_a_run_without_a_worker_has_no_record(home: ServerHome) -> None:
    assert Records(home).get("one") is None


def test_a_damaged_record_is_none(home: ServerHome) -> None:
    Records(home).put(record())
    (home.folder / "run" / "one.json").write_text('{"run_id": "one"')
    assert Records(home).get("one") is None


def test_a_run_goes_on_while_its_worker_lives(home: ServerHome) -> None:
    assert record().going_on
    assert not record(process=ended_process()).going_on


def test_another_process_with_the_same_id_is_not_the_worker() -> None:
    mine = this_process()
    assert not replace(mine, started=mine.started - 1).alive
    assert not replace(mine, boot="another").alive
    assert not replace(mine, started=mine.started - 1).signal(0)  # type: ignore[arg-type]  # It only asks.


def test_a_run_of_another_machine_is_not_said_to_go_on_here() -> None:
    assert not replace(record(), host="elsewhere").going_on


def test_how_a_run_ended_is_kept(home: ServerHome) -> None:
    records = Records(home)
    records.put(record())
    records.settle("one", this_process(), "left")
    records.settle("one", this_process(), "died", "too late to matter")
    assert records.get("one") == replace(record(), state="left")


def test_the_end_of_an_earlier_worker_is_no_end_of_the_later_one(home: ServerHome) -> None:
    records = Records(home)
    records.put(record())
    records.settle("one", ended_process(), "died")
    assert records.get("one") == record()


def test_old_records_are_forgotten_unless_their_run_goes_on(home: ServerHome) -> None:
    records = Records(home)
    records.put(record("one"))
    records.put(record("two", ended_process()))
    records.put(record("three", ended_process()))
    for run_id in ("one", "two"):
        os.utime(home.folder / "run" / f"{run_id}.json", (0, 0))
    records.prune()
    assert sorted(one.run_id for one in records.all()) == ["one", "three"]


@pytest.mark.parametrize("run_id", ["../x", "a/b", "", ".hidden", "x" * 65])
def test_what_could_name_another_file_is_no_run_id(home: ServerHome, run_id: str) -> None:
    with pytest.raises(InputError, match="is no id of a run"):
        Records(home).get(run_id)
