"""The artifact store, records, journal and collection over the S3 protocol, against a server process."""

from __future__ import annotations

import asyncio
import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from maestro.artifacts import (
    ArtifactStore,
    ArtifactStoreError,
    CorruptArtifactError,
    EffectJournal,
    RecordStore,
    StepRecord,
    collect,
    plan_collection,
    verify_all,
)
from maestro.llm.answers import AnswerCache, old_answers, prune_answers
from maestro.llm.model import Completion, Usage
from tests.unit import step_records

SERVER = """
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.readline()
server.stop()
"""
LARGE = 12 * 1024 * 1024


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def options(endpoint: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "access_key_id": "key",
        "secret_access_key": "hush-hush",
        "region": "us-east-1",
        "client_options": {"allow_http": True},
    }


@pytest.fixture
def store(endpoint: str, request: pytest.FixtureRequest) -> ArtifactStore:
    bucket = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-60:].strip("-")
    with urlopen(Request(f"{endpoint}/{bucket}", method="PUT"), timeout=60) as answer:
        assert answer.status == 200
    return ArtifactStore.open(f"s3://{bucket}/maestro", options(endpoint))


def a_record(**changes: Any) -> StepRecord:
    return step_records.a_record(**{"project": "shop/é #1", "step": "test/unit/py 3.12", **changes})


def test_small_and_large_files_come_back(store: ArtifactStore, tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"small", bytes(range(256)) * (LARGE // 256))):
        file = tmp_path / "file"
        file.write_bytes(data)
        artifact = store.put_file(file)
        assert store.put_file(file) == artifact
        assert store.fetch(artifact, tmp_path / str(number)) is True
        assert (tmp_path / str(number)).read_bytes() == data
    assert sorted(found.size for found in store.list()) == [0, 5, LARGE]


def test_one_of_sixteen_writers_creates(store: ArtifactStore) -> None:
    together = threading.Barrier(16)

    def create(number: int) -> bool:
        together.wait(timeout=60)
        return store.objects.create("cas/sha256/ab/" + "c" * 62, str(number).encode())

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_damaged_bytes_are_quarantined_and_rebuilt(store: ArtifactStore) -> None:
    artifact = store.put_bytes(b"precious", name="x")
    store.objects.replace(f"cas/sha256/{artifact.sha256[:2]}/{artifact.sha256[2:]}", b"Precious")
    with pytest.raises(CorruptArtifactError):
        store.get_bytes(artifact.sha256)
    assert not store.exists(artifact.sha256)
    (quarantined,) = store.objects.under("quarantine")
    assert artifact.sha256 in quarantined.key
    store.put_bytes(b"precious", name="x")
    assert store.get_bytes(artifact.sha256) == b"precious"
    assert verify_all(store).corrupt == ()


def test_records_and_the_step_cache_work(store: ArtifactStore) -> None:
    records = RecordStore(store)
    outputs = tuple(store.put_bytes(bytes([number]), name=str(number)) for number in range(5))
    record = a_record(outputs=outputs)
    records.save_cache("key", record)
    records.save_cache("key", a_record(summary="late"))
    assert records.cached("key") == record
    records.save(record)
    assert records.of_run("run") == [record]
    assert records.of_revision(record.project, "abc", record.step) == record
    assert (records.runs(), records.revisions(record.project)) == (["run"], ["abc"])
    store.delete(outputs[3].sha256)
    assert records.cached("key") is None
    records.save_cache("key", a_record(summary="again"))
    assert records.cached("key") == a_record(summary="again")


def test_an_effect_is_started_once(store: ArtifactStore) -> None:
    journal = EffectJournal(store)
    together = threading.Barrier(8)

    def start(_: int) -> bool:
        together.wait(timeout=60)
        return journal.start("publish", {})

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, range(8))) == 1
    journal.done("publish", a_record())
    assert journal.finished("publish") == a_record()
    journal.clear("publish")
    assert journal.state("publish") == "absent"


def test_collection_keeps_what_is_young_and_takes_what_nothing_names(store: ArtifactStore) -> None:
    records = RecordStore(store)
    artifacts = [store.put_bytes(bytes([number]), name="x") for number in range(3)]
    records.save(a_record(outputs=tuple(artifacts[:2])))
    age = timedelta(days=1)
    assert plan_collection(store, records, older_than=age, keep_revisions=None).objects == ()
    later = datetime.now(UTC) + timedelta(days=2)
    plan = plan_collection(store, records, older_than=age, keep_revisions=1, now=later)
    assert [found.sha256 for found in plan.objects] == [artifacts[2].sha256]
    assert collect(store, plan) == plan
    assert {found.sha256 for found in store.list()} == {artifact.sha256 for artifact in artifacts[:2]}


def test_a_bucket_that_is_not_there_is_told_without_the_credentials(endpoint: str) -> None:
    store = ArtifactStore.open("s3://no-such-bucket", options(endpoint))
    with pytest.raises(ArtifactStoreError, match="s3://no-such-bucket cannot be written") as raised:
        store.put_bytes(b"x", name="x")
    assert "hush-hush" not in str(raised.value)
    assert raised.value.next_step is not None


def test_a_large_file_that_changes_on_the_way_leaves_no_object(store: ArtifactStore) -> None:
    def changing() -> Iterator[bytes]:
        yield b"x" * LARGE
        raise RuntimeError("it changed")

    digest = hashlib.sha256(b"x").hexdigest()
    with pytest.raises(RuntimeError, match="it changed"):
        store.objects.replace(f"cas/sha256/{digest[:2]}/{digest[2:]}", changing())
    assert not store.exists(digest)


def test_answers_of_models_go_once_they_are_too_old_to_be_given_again(store: ArtifactStore) -> None:
    for number in range(20):
        asyncio.run(AnswerCache(store).keep(str(number), Completion("yes", Usage(1, 1)), "big"))
    kept = store.put_bytes(b"wheel", name="wheel")
    assert (old_answers(store), prune_answers(store)) == (0, 0)
    later = datetime.now(UTC) + timedelta(days=31)
    assert (old_answers(store, later), prune_answers(store, later), prune_answers(store, later)) == (20, 20, 0)
    assert store.verify(kept.sha256)


def test_answers_of_a_bucket_that_is_not_there_cannot_be_pruned(endpoint: str) -> None:
    store = ArtifactStore.open("s3://no-such-bucket/maestro", options(endpoint))
    with pytest.raises(ArtifactStoreError, match="cannot be listed"):
        prune_answers(store)
