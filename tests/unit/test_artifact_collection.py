"""Garbage collection: what is reachable or young stays, and nothing goes before it is asked for."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro.artifacts import (
    Artifact,
    ArtifactStore,
    EffectJournal,
    RecordError,
    RecordStore,
    StepRecord,
    collect,
    plan_collection,
)
from maestro.errors import InputError

MONTH = timedelta(days=30)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "store"))


@pytest.fixture
def records(store: ArtifactStore) -> RecordStore:
    return RecordStore(store)


def folder_of(store: ArtifactStore) -> Path:
    assert store.objects.folder is not None
    return store.objects.folder


def make_old(store: ArtifactStore, days: float, under: str = "") -> None:
    """Everything stored so far was written ``days`` ago."""
    moment = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    for file in (folder_of(store) / under).rglob("*"):
        if file.is_file():
            os.utime(file, (moment, moment))


def a_record(*outputs: Artifact, **changes: Any) -> StepRecord:
    members: dict[str, Any] = {
        "project": "shop",
        "workflow": "delivery",
        "revision": "abc",
        "step": "build/wheel",
        "kind": "shell",
        "kind_version": "1",
        "cache_key": "key",
        "passed": True,
        "summary": "done",
        "outputs": outputs,
        "run_id": "run",
        "made_by_run": "run",
        "started": 1.0,
        "seconds": 0.5,
        "cache": "miss",
    }
    return StepRecord(**{**members, **changes})


def kept(store: ArtifactStore) -> set[str]:
    return {found.sha256 for found in store.list()}


def gc(store: ArtifactStore, older_than: timedelta = MONTH, keep_revisions: int | None = None) -> set[str]:
    """Collects; the digests that are left."""
    plan = plan_collection(store, RecordStore(store), older_than=older_than, keep_revisions=keep_revisions)
    assert collect(store, plan) == plan
    return kept(store)


def test_planning_changes_nothing_and_tells_what_would_go(store: ArtifactStore, records: RecordStore) -> None:
    artifact = store.put_bytes(b"12345", name="x")
    records.save(a_record(artifact))
    records.save_cache("key", a_record(artifact))
    make_old(store, days=31)
    plan = plan_collection(store, records, older_than=MONTH, keep_revisions=None)
    assert [found.sha256 for found in plan.objects] == [artifact.sha256]
    assert plan.bytes == 5
    assert plan.records == (
        "cache/key.json",
        "revisions/shop/abc/build%2Fwheel.json",
        "runs/run/build%2Fwheel.json",
    )
    assert store.exists(artifact.sha256)
    assert records.runs() == ["run"]
    assert collect(store, plan) == plan
    assert kept(store) == set()
    assert records.cached("key") is None
    assert (records.runs(), records.revisions("shop")) == ([], [])


def test_nothing_young_goes(store: ArtifactStore, records: RecordStore) -> None:
    artifact = store.put_bytes(b"x", name="x")
    records.save(a_record(artifact))
    assert gc(store) == {artifact.sha256}


def test_what_is_younger_than_an_hour_stays_whatever_age_is_asked_for(store: ArtifactStore) -> None:
    young = store.put_bytes(b"a running step may be about to name it", name="x")
    old = store.put_bytes(b"nobody named it", name="x")
    digest = old.sha256
    os.utime(folder_of(store) / "cas/sha256" / digest[:2] / digest[2:], (0, 0))
    assert gc(store, older_than=timedelta(0)) == {young.sha256}


@pytest.mark.parametrize("by", ["run", "cache", "log", "effect"])
def test_an_old_object_that_a_young_record_names_stays(store: ArtifactStore, records: RecordStore, by: str) -> None:
    named = store.put_bytes(b"named", name="x")
    store.put_bytes(b"named by nobody", name="x")
    make_old(store, days=31)
    if by == "run":
        records.save(a_record(named))
    elif by == "cache":
        records.save_cache("key", a_record(named))
    elif by == "log":
        records.save(a_record(log=named))
    else:
        EffectJournal(store).done("publish", a_record(named))
    assert gc(store) == {named.sha256}


def test_a_cache_record_that_was_used_lately_stays_with_what_it_names(
    store: ArtifactStore, records: RecordStore
) -> None:
    artifact = store.put_bytes(b"x", name="x")
    records.save_cache("key", a_record(artifact))
    make_old(store, days=31)
    assert records.cached("key") is not None
    assert gc(store) == {artifact.sha256}
    assert records.cached("key") is not None


def test_a_run_is_kept_whole_while_any_of_its_records_is_young(store: ArtifactStore, records: RecordStore) -> None:
    first = store.put_bytes(b"first step", name="x")
    records.save(a_record(first, step="a/1"))
    make_old(store, days=31)
    records.save(a_record(step="a/2"))
    assert gc(store) == {first.sha256}
    assert [record.step for record in records.of_run("run")] == ["a/1", "a/2"]


def test_the_latest_revisions_of_each_project_stay_with_their_runs_whatever_their_age(
    store: ArtifactStore, records: RecordStore
) -> None:
    digests = {}
    for age, (project, revision) in enumerate(
        [("shop", "newest"), ("shop", "newer"), ("shop", "oldest"), ("blog", "only")]
    ):
        artifact = store.put_bytes(revision.encode(), name="x")
        digests[revision] = artifact.sha256
        records.save(a_record(artifact, project=project, revision=revision, run_id=f"run-{revision}"))
        make_old(store, days=100 + age, under=f"revisions/{project}/{revision}")
    make_old(store, days=100, under="runs")
    make_old(store, days=100, under="cas")
    assert gc(store, keep_revisions=2) == {digests["newest"], digests["newer"], digests["only"]}
    assert records.revisions("shop") == ["newer", "newest"]
    assert records.runs() == ["run-newer", "run-newest", "run-only"]
    assert gc(store, keep_revisions=0) == set()


def test_the_journal_of_effects_is_never_collected(store: ArtifactStore) -> None:
    journal = EffectJournal(store)
    journal.start("half", {})
    journal.start("whole", {})
    journal.done("whole", a_record())
    make_old(store, days=1000)
    gc(store)
    assert (journal.state("half"), journal.state("whole")) == ("started", "done")


def test_what_is_named_or_used_after_the_plan_stays(store: ArtifactStore, records: RecordStore) -> None:
    named, written, hit, garbage = (store.put_bytes(data, name="x") for data in (b"1", b"2", b"3", b"4"))
    records.save_cache("key", a_record(hit))
    make_old(store, days=31)
    plan = plan_collection(store, records, older_than=MONTH, keep_revisions=None)
    assert len(plan.objects) == 4
    records.save(a_record(named))
    store.put_bytes(b"2", name="x")
    assert records.cached("key") is not None
    done = collect(store, plan)
    assert [found.sha256 for found in done.objects] == [garbage.sha256]
    assert (done.bytes, done.records) == (1, ())
    assert kept(store) == {named.sha256, written.sha256, hit.sha256}


def test_a_damaged_record_names_nothing_and_stops_nobody(store: ArtifactStore, records: RecordStore) -> None:
    artifact = store.put_bytes(b"x", name="x")
    records.save(a_record(artifact))
    make_old(store, days=31)
    (folder_of(store) / "runs/run/build%2Fwheel.json").write_text("{")
    assert gc(store) == set()


def test_a_record_of_a_later_format_stops_collection(store: ArtifactStore, records: RecordStore) -> None:
    store.put_bytes(b"x", name="x")
    make_old(store, days=31)
    store.objects.replace("runs/run/step.json", json.dumps({"schema": 3}).encode())
    with pytest.raises(RecordError, match=r"nothing can be collected: runs/run/step\.json") as raised:
        plan_collection(store, records, older_than=MONTH, keep_revisions=None)
    assert raised.value.next_step == "collect with the newest version of Maestro that uses this store"


@pytest.mark.parametrize(
    "arguments",
    [
        {"older_than": timedelta(days=-1), "keep_revisions": None},
        {"older_than": MONTH, "keep_revisions": -1},
    ],
)
def test_negative_limits_are_refused(store: ArtifactStore, records: RecordStore, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="is negative") as raised:
        plan_collection(store, records, **arguments)
    assert raised.value.next_step == "give 0 or more"


def test_what_crashes_left_is_swept_when_it_is_old_and_objects_are_not(store: ArtifactStore) -> None:
    artifact = store.put_bytes(b"x", name="x")
    half_written = folder_of(store) / "cas/sha256" / artifact.sha256[:2] / f"{artifact.sha256[2:]}#1"
    staged = folder_of(store) / "staging" / "0123"
    staged.parent.mkdir()
    empty = folder_of(store) / "runs" / "run"
    empty.mkdir(parents=True)
    for file in (half_written, staged):
        file.write_bytes(b"half")
    assert gc(store) == {artifact.sha256}
    assert half_written.exists()
    assert staged.exists()
    assert not empty.exists()

    for file in (half_written, staged):
        os.utime(file, (0, 0))
    assert gc(store) == {artifact.sha256}
    assert not half_written.exists()
    assert not staged.exists()
