"""Bytes under their own digest, written once, verified on every read."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.artifacts import (
    Artifact,
    ArtifactMissingError,
    ArtifactStore,
    ArtifactStoreError,
    CorruptArtifactError,
    verify_all,
)
from maestro.errors import InputError

ABSENT = hashlib.sha256(b"never stored").hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "store"))


def file_of(store: ArtifactStore, artifact: Artifact) -> Path:
    assert store.objects.folder is not None
    return store.objects.folder / "cas/sha256" / artifact.sha256[:2] / artifact.sha256[2:]


def in_quarantine(store: ArtifactStore) -> list[str]:
    assert store.objects.folder is not None
    return [path.name for path in (store.objects.folder / "quarantine").rglob("*") if path.is_file()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.binary(max_size=5000))
def test_what_is_put_comes_back(store: ArtifactStore, data: bytes) -> None:
    artifact = store.put_bytes(data, name="report.json")
    assert artifact == Artifact("report.json", hashlib.sha256(data).hexdigest(), len(data), "application/json", None)
    assert store.get_bytes(artifact.sha256) == data
    assert b"".join(store.read_chunks(artifact.sha256)) == data
    assert store.exists(artifact.sha256)
    assert store.verify(artifact.sha256)


def test_the_same_bytes_are_one_object_whatever_their_names(store: ArtifactStore) -> None:
    one = store.put_bytes(b"same", name="one")
    other = store.put_bytes(b"same", name="other", media_type="text/plain", path="dist/other")
    assert one.sha256 == other.sha256
    assert [found.sha256 for found in store.list()] == [one.sha256]


def test_a_folder_and_its_file_url_are_one_store(tmp_path: Path) -> None:
    folder = tmp_path / "with space é"
    artifact = ArtifactStore.open(str(folder)).put_bytes(b"x", name="x")
    assert ArtifactStore.open(folder.as_uri()).get_bytes(artifact.sha256) == b"x"


def test_listing_tells_size_and_time(store: ArtifactStore) -> None:
    artifact = store.put_bytes(b"12345", name="x")
    (found,) = store.list()
    assert (found.sha256, found.size) == (artifact.sha256, 5)
    assert abs(datetime.now(UTC) - found.last_modified) < timedelta(minutes=5)


def test_deleting_is_final_and_may_be_repeated(store: ArtifactStore) -> None:
    artifact = store.put_bytes(b"x", name="x")
    store.delete(artifact.sha256)
    store.delete(artifact.sha256)
    assert not store.exists(artifact.sha256)


def test_missing_bytes_are_told_with_their_digest(store: ArtifactStore) -> None:
    def stream(sha256: str) -> list[bytes]:
        return list(store.read_chunks(sha256))

    reads: tuple[Callable[[str], object], ...] = (store.get_bytes, store.verify, stream)
    for read in reads:
        with pytest.raises(ArtifactMissingError) as raised:
            read(ABSENT)
        assert ABSENT in str(raised.value)
        assert "run the step that makes it again" in str(raised.value)


def flip_a_bit(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 4]) + data[101:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "bit flipped": flip_a_bit,
    "truncated": lambda data: data[:-1],
    "emptied": lambda _data: b"",
    "grown": lambda data: data + b"\0",
}


@pytest.fixture(params=sorted(DAMAGES))
def damaged(request: pytest.FixtureRequest, store: ArtifactStore) -> Artifact:
    artifact = store.put_bytes(b"precious" * 1000, name="precious")
    file = file_of(store, artifact)
    file.write_bytes(DAMAGES[request.param](file.read_bytes()))
    return artifact


def test_damaged_bytes_are_never_returned_and_can_be_written_again(store: ArtifactStore, damaged: Artifact) -> None:
    with pytest.raises(CorruptArtifactError) as raised:
        store.get_bytes(damaged.sha256)
    assert damaged.sha256 in str(raised.value)
    assert "check the store's disk" in str(raised.value)
    assert not store.exists(damaged.sha256)
    (quarantined,) = in_quarantine(store)
    assert quarantined.startswith(f"{damaged.sha256}-")

    store.put_bytes(b"precious" * 1000, name="precious")
    assert store.get_bytes(damaged.sha256) == b"precious" * 1000


def test_damaged_bytes_are_told_when_streamed(store: ArtifactStore, damaged: Artifact) -> None:
    with pytest.raises(CorruptArtifactError):
        list(store.read_chunks(damaged.sha256))
    assert not store.exists(damaged.sha256)


def test_verification_finds_and_quarantines_what_is_damaged(store: ArtifactStore, damaged: Artifact) -> None:
    sound = store.put_bytes(b"sound", name="sound")
    verification = verify_all(store)
    assert (verification.checked, verification.corrupt) == (2, (damaged.sha256,))
    assert len(in_quarantine(store)) == 1
    assert verify_all(store).corrupt == ()
    assert store.exists(sound.sha256)


def test_bytes_of_the_wrong_length_count_as_absent_and_are_quarantined(store: ArtifactStore) -> None:
    whole, cut = store.put_bytes(b"whole", name="whole"), store.put_bytes(b"cut short", name="cut")
    missing = Artifact("missing", ABSENT, 3, "text/plain", None)
    file_of(store, cut).write_bytes(b"cut")
    assert store.absent([whole, cut, missing]) == (cut, missing)
    assert len(in_quarantine(store)) == 1


def test_putting_over_a_half_written_object_repairs_it(store: ArtifactStore) -> None:
    artifact = store.put_bytes(b"whole thing", name="x")
    file_of(store, artifact).write_bytes(b"whole")
    store.put_bytes(b"whole thing", name="x")
    assert store.get_bytes(artifact.sha256) == b"whole thing"


def test_a_reader_does_not_quarantine_what_was_rebuilt_meanwhile(store: ArtifactStore) -> None:
    artifact = store.put_bytes(b"good", name="x")
    file_of(store, artifact).write_bytes(b"evil")
    seen = store.objects.info(f"cas/sha256/{artifact.sha256[:2]}/{artifact.sha256[2:]}")
    assert seen is not None
    file_of(store, artifact).unlink()
    store.put_bytes(b"good", name="x")
    store.quarantine(artifact.sha256, seen)
    assert store.get_bytes(artifact.sha256) == b"good"
    assert in_quarantine(store) == []


def test_putting_old_bytes_again_makes_them_young(store: ArtifactStore) -> None:
    artifact = store.put_bytes(b"x", name="x")
    os.utime(file_of(store, artifact), (0, 0))
    store.put_bytes(b"x", name="x")
    (found,) = store.list()
    assert datetime.now(UTC) - found.last_modified < timedelta(minutes=5)


@pytest.mark.parametrize(
    "url", ["relative/folder", "", "ftp://host/x", "s3:", "s3:///key", "gs:/x", "file:x", "az://[bad", "C:folder"]
)
def test_an_address_that_is_none_is_told_with_the_ways_to_write_one(url: str) -> None:
    with pytest.raises(InputError, match="neither an absolute folder nor a URL") as raised:
        ArtifactStore.open(url)
    assert raised.value.next_step is not None
    assert "s3://" in raised.value.next_step


def test_a_file_url_of_another_machine_is_refused() -> None:
    with pytest.raises(InputError, match="folder of another machine") as raised:
        ArtifactStore.open("file://server/share")
    assert raised.value.next_step == "write three slashes: file:///folder"


def test_credentials_in_an_address_are_not_repeated() -> None:
    for url in ("ftp://me:hush@host/x?sig=hush", "az:///x?sig=hush", "s3://me:hush@b:99999/x", "az://me:hush@[bad"):
        with pytest.raises(InputError) as raised:
            ArtifactStore.open(url)
        assert "hush" not in str(raised.value)


def test_an_option_the_store_does_not_know_is_told() -> None:
    with pytest.raises(InputError, match="cannot be used"):
        ArtifactStore.open("s3://bucket", {"no_such_option": "1"})


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactStoreError, match="cannot be made") as raised:
        ArtifactStore.open(str(tmp_path / "file" / "store"))
    assert raised.value.next_step == "make it writable, or name another folder"


def test_a_store_that_cannot_be_written_is_told(store: ArtifactStore) -> None:
    assert store.objects.folder is not None
    (store.objects.folder / "cas").write_text("in the way")
    with pytest.raises(ArtifactStoreError, match="cannot be written") as raised:
        store.put_bytes(b"x", name="x")
    assert "Debug source" not in str(raised.value)
    assert store.url in str(raised.value)


def test_a_process_forked_after_first_use_is_told_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from maestro.artifacts import ArtifactStore
from maestro.errors import MaestroError
store = ArtifactStore.open(sys.argv[1])
store.put_bytes(b"x", name="x")
child = os.fork()
if child == 0:
    signal.alarm(30)
    try:
        store.put_bytes(b"y", name="y")
    except MaestroError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "was forked" in done.stdout
    assert "fork before the first use of a store" in done.stdout


def test_importing_the_package_loads_no_storage_library() -> None:
    script = "import sys, maestro.artifacts; print([m for m in ('obstore', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
