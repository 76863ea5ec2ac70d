"""Files go into the store and come back whole, verified, with their execute bit, or not at all."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maestro.artifacts import Artifact, ArtifactMissingError, ArtifactStore, CorruptArtifactError, intake
from maestro.errors import InputError

LARGE = 9 * 1024 * 1024
"""More than is held in memory at once."""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "store"))


def large_bytes() -> bytes:
    return bytes(range(256)) * (LARGE // 256)


def file_of(store: ArtifactStore, artifact: Artifact) -> Path:
    assert store.objects.folder is not None
    return store.objects.folder / "cas/sha256" / artifact.sha256[:2] / artifact.sha256[2:]


@pytest.mark.parametrize("data", [b"", b"small", large_bytes()], ids=["empty", "small", "large"])
@pytest.mark.parametrize("executable", [True, False])
def test_a_file_comes_back_as_it_was(store: ArtifactStore, tmp_path: Path, data: bytes, executable: bool) -> None:
    file = tmp_path / "program"
    file.write_bytes(data)
    file.chmod(0o755 if executable else 0o644)
    artifact = store.put_file(file, name="tool", path="dist/program")
    assert artifact == Artifact(
        "tool",
        hashlib.sha256(data).hexdigest(),
        len(data),
        "application/octet-stream",
        "dist/program",
        executable,
    )
    destination = tmp_path / "new" / "folder" / "program"
    assert store.fetch(artifact, destination) is True
    assert destination.read_bytes() == data
    assert os.access(destination, os.X_OK) == executable
    assert [path.name for path in destination.parent.iterdir()] == ["program"]


def test_a_file_without_a_name_gets_its_own(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text("<testsuites/>")
    artifact = store.put_file(tmp_path / "junit.xml")
    assert (artifact.name, artifact.media_type, artifact.path) == ("junit.xml", "application/xml", None)


@pytest.mark.parametrize("data", [b"small", large_bytes()], ids=["small", "large"])
def test_keeping_a_file_twice_writes_once(store: ArtifactStore, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    stored = file_of(store, store.put_file(file))
    before = stored.stat().st_ino
    store.put_file(file)
    assert stored.stat().st_ino == before


def test_fetching_what_is_there_touches_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = store.put_bytes(b"same", name="x")
    destination = tmp_path / "x"
    store.fetch(artifact, destination)
    os.utime(destination, (1, 1))
    before = destination.stat()
    assert store.fetch(artifact, destination) is False
    after = destination.stat()
    assert (after.st_ino, after.st_mode, after.st_ctime_ns) == (before.st_ino, before.st_mode, before.st_ctime_ns)


def test_a_lost_execute_bit_is_put_back(store: ArtifactStore, tmp_path: Path) -> None:
    file = tmp_path / "run.sh"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    artifact = store.put_file(file)
    file.chmod(0o644)
    store.fetch(artifact, file)
    assert file.stat().st_mode & 0o777 == 0o755


def test_fetching_replaces_other_bytes_of_the_same_size(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = store.put_bytes(b"right", name="x")
    (tmp_path / "x").write_bytes(b"wrong")
    assert store.fetch(artifact, tmp_path / "x") is True
    assert (tmp_path / "x").read_bytes() == b"right"


def test_fetching_replaces_a_link_and_not_what_it_points_to(store: ArtifactStore, tmp_path: Path) -> None:
    # As long as the link's own text, so that its size does not give it away.
    data = b"x" * len(str(tmp_path / "outside"))
    artifact = store.put_bytes(data, name="x")
    (tmp_path / "outside").write_bytes(data)
    (tmp_path / "x").symlink_to(tmp_path / "outside")
    assert store.fetch(artifact, tmp_path / "x") is True
    assert not (tmp_path / "x").is_symlink()


def test_what_a_step_does_to_a_fetched_file_does_not_reach_the_store(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = store.put_bytes(b"artifact", name="x")
    store.fetch(artifact, tmp_path / "x")
    with (tmp_path / "x").open("ab") as file:
        file.write(b"more")
    assert store.get_bytes(artifact.sha256) == b"artifact"


@pytest.mark.parametrize("data", [b"small", large_bytes()], ids=["small", "large"])
def test_damaged_bytes_do_not_reach_the_workspace(store: ArtifactStore, tmp_path: Path, data: bytes) -> None:
    artifact = store.put_bytes(data, name="x")
    stored = file_of(store, artifact)
    stored.write_bytes(b"?" + data[1:])
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "x").write_bytes(b"before")
    with pytest.raises(CorruptArtifactError):
        store.fetch(artifact, workspace / "x")
    assert {path.name: path.read_bytes() for path in workspace.iterdir()} == {"x": b"before"}
    assert not store.exists(artifact.sha256)


def test_missing_bytes_leave_the_workspace_as_it_was(store: ArtifactStore, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    with pytest.raises(ArtifactMissingError):
        store.fetch(Artifact("x", "0" * 64, 1, "text/plain", "x"), workspace / "x")
    assert list(workspace.iterdir()) == []


def test_a_destination_that_is_a_folder_is_told(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = store.put_bytes(b"x", name="report")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=r"'report' cannot be written to .*there") as raised:
        store.fetch(artifact, tmp_path / "there")
    assert raised.value.next_step is not None
    with pytest.raises(InputError, match="cannot be written"):
        (tmp_path / "file").write_text("")
        store.fetch(artifact, tmp_path / "file" / "x")


def a_link(place: Path) -> None:
    (place.parent / "target").write_text("x")
    place.symlink_to("target")


def a_pipe(place: Path) -> None:
    os.mkfifo(place)


def a_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _place: None, "does not exist"),
        (a_link, "is a symbolic link"),
        (Path.mkdir, "is a folder"),
        (a_pipe, "is no regular file"),
        (a_socket, "is no regular file"),
    ],
)
def test_what_is_no_regular_file_is_refused_by_name(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object, message: str
) -> None:
    # A socket's path has to be short.
    monkeypatch.chdir(tmp_path)
    place = Path("output")
    assert callable(make)
    make(place)
    with pytest.raises(InputError, match=message) as raised:
        store.put_file(place)
    assert "output" in raised.value.what
    assert raised.value.next_step is not None
    assert list(store.list()) == []


def test_a_large_file_that_changes_while_it_is_kept_is_refused(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(large_bytes())

    def still_being_written(*_: object) -> bool:
        with file.open("r+b") as writer:
            writer.write(b"later")
        return False

    monkeypatch.setattr(store, "settled", still_being_written, raising=False)
    with pytest.raises(InputError, match="changed while it was being kept"):
        intake.put_file(store, file, name="x", media_type=None, path=None)
    assert list(store.list()) == []


def test_sixteen_threads_that_keep_the_same_bytes_make_one_object(store: ArtifactStore) -> None:
    together = threading.Barrier(16)

    def create(_: int) -> bool:
        together.wait(timeout=30)
        return store.objects.create("cas/sha256/ab/" + "c" * 62, b"data" * 10_000)

    with ThreadPoolExecutor(16) as pool:
        created = list(pool.map(create, range(16)))
    assert sum(created) == 1
    assert len(list(store.list())) == 1

    def put(number: int) -> Artifact:
        return store.put_bytes(b"same" * 10_000, name=str(number))

    with ThreadPoolExecutor(16) as pool:
        assert len({artifact.sha256 for artifact in pool.map(put, range(64))}) == 1
    assert len(list(store.list())) == 2


RACER = """
import sys
from maestro.artifacts import ArtifactStore, EffectJournal
store = ArtifactStore.open(sys.argv[1])
journal = EffectJournal(store)
list(store.list())
print("ready", flush=True)
sys.stdin.readline()
created = store.objects.create("cas/sha256/ab/" + "c" * 62, b"data" * 10_000)
started = journal.start("deploy", {})
artifact = store.put_bytes(b"same", name="x")
print(created, started, artifact.sha256, flush=True)
"""


def test_many_processes_that_keep_the_same_bytes_make_one_object_and_one_effect(
    store: ArtifactStore,
) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, store.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert sorted(answer[0] for answer in answers) == ["False"] * 7 + ["True"]
    assert sorted(answer[1] for answer in answers) == ["False"] * 7 + ["True"]
    assert len({answer[2] for answer in answers}) == 1
    assert len(list(store.list())) == 2


WRITER = """
import sys
from maestro.artifacts import ArtifactStore
store = ArtifactStore.open(sys.argv[1])
def chunks():
    for _ in range(12):
        yield b"x" * 2**20
    print("halfway", flush=True)
    sys.stdin.readline()
store.objects.replace("cas/sha256/ab/" + "c" * 62, chunks())
"""


@pytest.fixture
def killed_halfway(store: ArtifactStore) -> Iterator[ArtifactStore]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, store.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "halfway\n"
        writer.kill()
    yield store


def test_what_a_killed_writer_left_is_no_object_and_in_nobodys_way(killed_halfway: ArtifactStore) -> None:
    store = killed_halfway
    assert store.objects.folder is not None
    assert [path for path in store.objects.folder.rglob("*") if path.is_file()], "nothing was left to be seen"
    assert list(store.list()) == []
    assert not store.exists("ab" + "c" * 62)
    assert store.objects.create("cas/sha256/ab/" + "c" * 62, b"rebuilt")
    assert [found.size for found in store.list()] == [7]
