"""The journal of outside effects: who may perform one, and what is known after a crash."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from maestro.artifacts import Artifact, ArtifactStore, EffectJournal, RecordError, StepRecord

RECORD = StepRecord(
    project="shop",
    workflow="delivery",
    revision="abc",
    step="ship/publish",
    kind="shell",
    kind_version="1",
    cache_key=None,
    passed=True,
    summary="published",
    outputs=(),
    run_id="run",
    made_by_run="run",
    started=1.0,
    seconds=0.5,
    cache="off",
)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "store"))


@pytest.fixture
def journal(store: ArtifactStore) -> EffectJournal:
    return EffectJournal(store)


def test_an_effect_goes_from_absent_to_started_to_done(journal: EffectJournal) -> None:
    assert journal.state("publish") == "absent"
    assert journal.finished("publish") is None
    assert journal.start("publish", {"tag": "v1"})
    assert journal.state("publish") == "started"
    assert journal.about("publish") == {"tag": "v1"}
    assert journal.finished("publish") is None
    journal.done("publish", RECORD)
    assert journal.state("publish") == "done"
    assert journal.finished("publish") == RECORD


def test_only_one_of_many_may_start_an_effect(journal: EffectJournal) -> None:
    together = threading.Barrier(16)

    def start(number: int) -> bool:
        together.wait(timeout=30)
        return journal.start("publish", {"by": number})

    with ThreadPoolExecutor(16) as pool:
        started = list(pool.map(start, range(16)))
    assert sum(started) == 1
    assert journal.about("publish") == {"by": started.index(True)}


def test_an_effect_that_is_started_or_done_is_not_started_again(journal: EffectJournal) -> None:
    journal.start("publish", {})
    assert not journal.start("publish", {})
    journal.done("publish", RECORD)
    assert not journal.start("publish", {})


def test_a_done_effect_whose_start_is_lost_is_not_started_again(store: ArtifactStore, journal: EffectJournal) -> None:
    journal.start("publish", {})
    journal.done("publish", RECORD)
    store.objects.delete("effects/publish/started.json")
    assert not journal.start("publish", {})


def test_a_cleared_effect_may_be_performed(journal: EffectJournal) -> None:
    journal.start("publish", {})
    journal.done("publish", RECORD)
    journal.clear("publish")
    journal.clear("publish")
    assert journal.state("publish") == "absent"
    assert journal.start("publish", {})


def test_a_claim_whose_answer_was_lost_is_still_ones_own(
    store: ArtifactStore, journal: EffectJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = store.objects.create_durably

    def written_twice(key: str, data: bytes) -> bool:
        create(key, data)
        return create(key, data)

    monkeypatch.setattr(store.objects, "create_durably", written_twice)
    assert journal.start("publish", {})
    assert not journal.start("publish", {})


def test_an_effect_is_done_even_when_its_bytes_are_lost(store: ArtifactStore, journal: EffectJournal) -> None:
    here = store.put_bytes(b"receipt", name="receipt")
    lost = Artifact("lost", "0" * 64, 1, "text/plain", None)
    journal.start("publish", {})
    journal.done("publish", replace(RECORD, outputs=(here, lost)))
    assert journal.state("publish") == "done"


def test_effects_with_other_keys_are_others(journal: EffectJournal) -> None:
    journal.start("a/b", {})
    assert journal.state("a") == "absent"
    assert journal.state("a/b/c") == "absent"
    assert journal.start("../a/b", {})


@pytest.mark.parametrize("data", [b"", b'{"schema":1,', b'{"schema":2}'])
def test_a_damaged_done_entry_is_still_done_and_is_told(
    store: ArtifactStore, journal: EffectJournal, data: bytes
) -> None:
    journal.start("publish", {})
    journal.done("publish", RECORD)
    store.objects.replace("effects/publish/done.json", data)
    assert journal.state("publish") == "done"
    assert not journal.start("publish", {})
    with pytest.raises(RecordError, match="effect 'publish' is done, but its record") as raised:
        journal.finished("publish")
    assert raised.value.next_step is not None
    assert "find out whether it really happened" in raised.value.next_step
    assert journal.state("publish") == "done"


def test_a_damaged_start_entry_is_still_started(store: ArtifactStore, journal: EffectJournal) -> None:
    journal.start("publish", {"tag": "v1"})
    store.objects.replace("effects/publish/started.json", b"")
    assert journal.state("publish") == "started"
    assert journal.about("publish") == {}
    assert not journal.start("publish", {})


def test_what_an_effect_is_about_has_to_be_json(journal: EffectJournal) -> None:
    with pytest.raises(RecordError, match="what effect 'publish' is about cannot be recorded"):
        journal.start("publish", {"secret": object()})
    assert journal.state("publish") == "absent"


def test_the_journal_leaves_no_files_of_its_own_in_the_staging_folder(
    store: ArtifactStore, journal: EffectJournal
) -> None:
    journal.start("publish", {})
    journal.start("publish", {})
    journal.done("publish", RECORD)
    assert store.objects.folder is not None
    assert list((store.objects.folder / "staging").iterdir()) == []
