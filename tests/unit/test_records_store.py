"""Step records in the store: the step cache, what a run did, and what a revision has."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.artifacts import Artifact, ArtifactStore, RecordStore
from tests.unit.step_records import a_record

NAMES = st.text(st.characters(), max_size=40) | st.sampled_from([".", "..", "a/../b", "x" * 300, "%", "~#1"])


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "store"))


@pytest.fixture
def records(store: ArtifactStore) -> RecordStore:
    return RecordStore(store)


@pytest.fixture
def wheel(store: ArtifactStore) -> Artifact:
    return store.put_bytes(b"wheel", name="wheel", path="dist/a.whl")


@pytest.fixture
def log(store: ArtifactStore) -> Artifact:
    return store.put_bytes(b"what it said", name="log")


def cache_file(store: ArtifactStore, key: str = "key") -> Path:
    assert store.objects.folder is not None
    return store.objects.folder / "cache" / f"{key}.json"


def in_quarantine(store: ArtifactStore) -> list[str]:
    assert store.objects.folder is not None
    return [path.name for path in (store.objects.folder / "quarantine").rglob("*") if path.is_file()]


def test_a_cached_record_comes_back(records: RecordStore, wheel: Artifact, log: Artifact) -> None:
    record = a_record(outputs=(wheel,), log=log, values={"version": "1.0"}, metadata={"tests": 3})
    records.save_cache("key", record)
    assert records.cached("key") == record
    assert records.cached("another key") is None


def test_the_first_record_of_a_key_stays(records: RecordStore) -> None:
    records.save_cache("key", a_record(run_id="first"))
    records.save_cache("key", a_record(run_id="second"))
    found = records.cached("key")
    assert found is not None
    assert found.run_id == "first"


def test_a_forgotten_key_can_be_written_again(records: RecordStore) -> None:
    records.save_cache("key", a_record(run_id="first"))
    records.forget_cache("key")
    records.forget_cache("key")
    assert records.cached("key") is None
    records.save_cache("key", a_record(run_id="second"))
    assert records.cached("key") is not None


@pytest.mark.parametrize("lost", ["output", "log"])
@pytest.mark.parametrize("how", ["deleted", "half-written"])
def test_a_record_whose_bytes_are_lost_is_a_miss_and_can_be_made_again(
    store: ArtifactStore, records: RecordStore, wheel: Artifact, log: Artifact, lost: str, how: str
) -> None:
    record = a_record(outputs=(wheel,), log=log)
    records.save_cache("key", record)
    gone = wheel if lost == "output" else log
    assert store.objects.folder is not None
    file = store.objects.folder / "cas/sha256" / gone.sha256[:2] / gone.sha256[2:]
    data = file.read_bytes()
    if how == "deleted":
        file.unlink()
    else:
        file.write_bytes(data[:2])
    assert records.cached("key") is None

    store.put_bytes(data, name=gone.name)
    again = a_record(outputs=(wheel,), log=log, made_by_run="the run that made it again")
    records.save_cache("key", again)
    assert records.cached("key") == again


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b'{"schema":2,"record":{}}', None])
def test_a_damaged_cache_record_is_a_miss_goes_to_quarantine_and_can_be_made_again(
    store: ArtifactStore, records: RecordStore, data: bytes | None
) -> None:
    records.save_cache("key", a_record())
    file = cache_file(store)
    file.write_bytes(file.read_bytes()[:-10] if data is None else data)
    assert records.cached("key") is None
    (quarantined,) = in_quarantine(store)
    assert quarantined.startswith("key.json-")

    records.save_cache("key", a_record())
    assert records.cached("key") == a_record()


def test_a_record_of_a_later_format_is_a_miss_and_stays_for_who_knows_it(
    store: ArtifactStore, records: RecordStore
) -> None:
    records.save_cache("key", a_record())
    later = json.dumps({"schema": 3, "steps": []})
    cache_file(store).write_text(later)
    assert records.cached("key") is None
    assert cache_file(store).read_text() == later
    assert in_quarantine(store) == []


def test_a_record_that_is_used_becomes_young_again(store: ArtifactStore, records: RecordStore) -> None:
    records.save_cache("key", a_record())
    os.utime(cache_file(store), (0, 0))
    assert records.cached("key") == a_record()
    assert cache_file(store).stat().st_mtime > time.time() - 300


def test_a_run_has_its_steps_by_the_time_they_started(records: RecordStore) -> None:
    for step, started in (("build/wheel", 2.0), ("test/unit/py3.12", 3.0), ("lint/ruff", 1.0)):
        records.save(a_record(step=step, started=started))
    records.save(a_record(run_id="another"))
    assert [record.step for record in records.of_run("run")] == [
        "lint/ruff",
        "build/wheel",
        "test/unit/py3.12",
    ]
    assert records.of_run("never") == []
    assert records.runs() == ["another", "run"]


def test_a_step_is_found_by_run_and_by_revision_and_the_latest_wins(records: RecordStore) -> None:
    first, second = a_record(run_id="1", summary="first"), a_record(run_id="2", summary="second")
    records.save(first)
    records.save(second)
    assert records.of_run_step("1", "test/unit") == first
    assert records.of_run_step("2", "test/unit") == second
    assert records.of_run_step("2", "test/other") is None
    assert records.of_revision("shop", "abc", "test/unit") == second
    assert records.of_revision("shop", "def", "test/unit") is None
    assert records.steps_of_revision("shop", "abc") == [second]


def test_a_project_has_its_revisions_and_no_others(records: RecordStore) -> None:
    for project, revision in (("shop", "b"), ("shop", "a"), ("shop/x", "c")):
        records.save(a_record(project=project, revision=revision))
    assert records.revisions("shop") == ["a", "b"]
    assert records.revisions("shop/x") == ["c"]
    assert records.revisions("none") == []


def test_a_damaged_run_record_is_left_out_and_goes_to_quarantine(store: ArtifactStore, records: RecordStore) -> None:
    records.save(a_record(step="a/1"))
    records.save(a_record(step="a/2"))
    assert store.objects.folder is not None
    (store.objects.folder / "runs" / "run" / "a%2F1.json").write_text("{")
    assert [record.step for record in records.of_run("run")] == ["a/2"]
    assert len(in_quarantine(store)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(project=NAMES, revision=NAMES, step=NAMES, run_id=NAMES, key=NAMES)
def test_whatever_the_names_a_record_is_found_and_stays_in_the_store(
    tmp_path: Path, records: RecordStore, project: str, revision: str, step: str, run_id: str, key: str
) -> None:
    record = a_record(project=project, revision=revision, step=step, run_id=run_id)
    records.save(record)
    records.forget_cache(key)
    records.save_cache(key, record)
    assert records.of_run_step(run_id, step) == record
    assert records.of_revision(project, revision, step) == record
    assert record in records.of_run(run_id)
    assert run_id in records.runs()
    assert revision in records.revisions(project)
    assert records.cached(key) == record
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
