"""Kept answers go once they are too old to be given again."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.artifacts import ArtifactStore
from maestro.llm.answers import KEPT_FOR, AnswerCache, old_answers, prune_answers
from maestro.llm.model import Completion, Usage

LATER = KEPT_FOR + timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "store"))


def keep(store: ArtifactStore, *names: str) -> None:
    for name in names:
        asyncio.run(AnswerCache(store).keep(name, Completion("yes", Usage(1, 1)), "big"))


def file_of(store: ArtifactStore, name: str) -> Path:
    assert store.objects.folder is not None
    return store.objects.folder / "llm" / "answers" / name


def make_old(file: Path, age: timedelta = LATER) -> None:
    at = (datetime.now(UTC) - age).timestamp()
    os.utime(file, (at, at))


def left(store: ArtifactStore) -> list[str]:
    return sorted(file.name for file in file_of(store, "").iterdir())


def test_old_ones_go_and_young_ones_stay(store: ArtifactStore) -> None:
    keep(store, "old", "young", "just")
    make_old(file_of(store, "old.json"))
    make_old(file_of(store, "just.json"), KEPT_FOR - timedelta(minutes=1))
    assert old_answers(store) == prune_answers(store) == 1
    assert left(store) == ["just.json", "young.json"]
    assert prune_answers(store) == 0


def test_what_a_crash_left_of_writing_one_goes_and_nothing_else_of_the_store(store: ArtifactStore) -> None:
    keep(store, "young")
    kept = store.put_bytes(b"wheel", name="wheel")
    for name in ("young.json#3", "old.json#12"):
        file_of(store, name).write_bytes(b"ha")
    make_old(file_of(store, "old.json#12"))
    assert prune_answers(store) == 0
    assert left(store) == ["young.json", "young.json#3"]
    assert prune_answers(store, datetime.now(UTC) + LATER) == 1
    assert store.verify(kept.sha256)


def test_a_store_without_answers_has_none_to_delete(store: ArtifactStore) -> None:
    assert (old_answers(store), prune_answers(store)) == (0, 0)


def test_it_stops_where_it_is_told_to(store: ArtifactStore) -> None:
    keep(store, "old")
    make_old(file_of(store, "old.json"))
    assert prune_answers(store, go_on=lambda: False) == 0
    assert left(store) == ["old.json"]
