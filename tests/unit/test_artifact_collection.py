"""Garbage collection: what is reachable or young stays, and nothing goes before it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

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
from maestro.artifacts.keys import evidence_of_revision
from maestro.audit import AuditLog
from maestro.cli import artifacts_gc
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError, MaestroError
from maestro.project import Project
from tests.unit import step_records
from tests.unit.evidence_harness import REVISION, SOURCE, Desk, unit_report

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
    return step_records.a_record(**{"step": "build/wheel", "outputs": outputs, **changes})


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


def test_signed_evidence_stays_whatever_its_age_with_the_documents_it_names(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk")
    report = desk.store.put_bytes(b'{"whole": "report"}', name="report.json", media_type="application/json")
    record = desk.step("test/unit", outputs=[report], claims=[replace(unit_report(), report="report.json")])
    artifact = desk.built().outputs[0]
    desk.desk.close()
    make_old(desk.store, days=4000)
    left = gc(desk.store)
    bundles = {one.bundle.sha256 for one in desk.desk.index.of_revision("shop", REVISION)}
    assert {one.sha256 for one in record.evidence} < bundles
    assert left == {*bundles, report.sha256}
    assert artifact.sha256 not in left, "what is delivered goes by its age, as everything else"
    assert desk.open().status("test-report", SOURCE, REVISION).state == "verified"


def test_nothing_is_collected_while_an_entry_of_evidence_cannot_be_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk")
    bundle = desk.built().evidence[0].sha256
    desk.desk.close()
    make_old(desk.store, days=31)
    key = evidence_of_revision("shop", REVISION, bundle)
    file = folder_of(desk.store) / key
    file.chmod(0o644)
    file.write_text("{}")
    with pytest.raises(RecordError, match=f"nothing can be collected: {key} .* is damaged") as raised:
        gc(desk.store)
    assert "remove that entry if its evidence is not needed" in str(raised.value)
    assert desk.store.exists(bundle)


def project(folder: Path) -> tuple[GlobalOptions, ArtifactStore]:
    """A project of its own, and its store."""
    root = folder / "shop"
    root.mkdir()
    subprocess.run(["git", "-C", str(root), "init", "-q"], check=True)
    (root / "maestro.yaml").write_text("{name: flow, project: shop, stages: []}")
    made = Project.find(root, environ={})
    return GlobalOptions(project=root), ArtifactStore.open(str(made.ensure_home() / "artifacts"))


def audited(store: ArtifactStore) -> list[Any]:
    """Rows of the audit log about what was deleted."""
    home = folder_of(store).parent
    if not (home / "audit.db").exists():
        return []
    with AuditLog.open(
        f"sqlite:///{home / 'audit.db'}", origin="maestro/shop", key_file=home / "keys/audit.pem"
    ) as log:
        assert log.checkpoints() != []
        return [row for row in log.entries() if row.kind == "artifact.deleted"]


def test_what_is_deleted_is_one_row_of_the_audit_log(tmp_path: Path) -> None:
    options, store = project(tmp_path)
    gone = [store.put_bytes(f"{number}".encode(), name="x").sha256 for number in range(3)]
    make_old(store, days=31)
    done = CliRunner().invoke(artifacts_gc.command, ["--yes"], obj=options)
    assert done.exit_code == 0, done.output
    assert "deleted 3 objects (3 B)" in done.output
    (row,) = audited(store)
    assert (row.object, row.data["objects"], row.data["bytes"], row.data["records"]) == (store.url, 3, 3, 0)
    assert row.data["digests"] == [f"sha256:{one}" for one in sorted(gone)]
    assert (row.data["older_than"], row.data["project"]) == ("30d", "shop")


@pytest.mark.parametrize("arguments", [[], ["--yes", "--older-than", "90d"]])
def test_a_look_and_a_collection_of_nothing_are_no_row(tmp_path: Path, arguments: list[str]) -> None:
    options, store = project(tmp_path)
    store.put_bytes(b"x", name="x")
    make_old(store, days=31)
    assert CliRunner().invoke(artifacts_gc.command, arguments, obj=options).exit_code == 0
    assert audited(store) == []


def test_without_an_audit_log_nothing_is_deleted(tmp_path: Path) -> None:
    options, store = project(tmp_path)
    kept_one = store.put_bytes(b"x", name="x")
    make_old(store, days=31)
    (folder_of(store).parent / "audit.db").mkdir()
    done = CliRunner().invoke(artifacts_gc.command, ["--yes"], obj=options)
    assert isinstance(done.exception, MaestroError)
    assert kept(store) == {kept_one.sha256}
