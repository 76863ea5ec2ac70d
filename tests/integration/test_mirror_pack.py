"""A revision travels through the artifact store to a machine that has no mirror, and is the same there."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from maestro.artifacts import ArtifactMissingError, ArtifactStore, CorruptArtifactError
from maestro.errors import InputError
from maestro.mirror import Mirror, MirrorError, pack_source, unpack_source
from tests.integration.mirror_origin import Origin, git
from tests.integration.test_mirror_worktree import needs_lfs, with_lfs


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.make(tmp_path / "origin")


@pytest.fixture
def mirror(origin: Origin, tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirrors/app.git", str(origin.bare))


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "store"))


def test_a_revision_is_the_same_where_there_is_no_mirror(
    origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path
) -> None:
    (origin.clone / "run.sh").write_text("#!/bin/sh\n")
    (origin.clone / "run.sh").chmod(0o755)
    (origin.clone / "link").symlink_to("run.sh")
    origin.commit({"a.txt": "1\n"}, message="first")
    git(origin.clone, "tag", "--annotate", "--message", "one", "v1")
    git(origin.clone, "push", "--quiet", "origin", "v1")
    sha = origin.commit({"ü b.txt": "2\n"}, message="second")
    mirror.ensure(sha, "main")

    packed = pack_source(mirror, sha, store)
    shutil.rmtree(origin.bare)
    shutil.rmtree(mirror.folder)
    assert unpack_source(store, packed.sha256, tmp_path / "work", sha=sha) == sha

    work = tmp_path / "work"
    assert git(work, "rev-parse", "HEAD") == sha
    assert git(work, "status", "--porcelain") == ""
    assert git(work, "describe") == f"v1-1-g{sha[:7]}"
    assert git(work, "log", "--format=%s") == "second\nfirst"
    assert git(work, "fsck", "--full") == ""
    assert (work / "link").readlink() == Path("run.sh")
    assert (work / "run.sh").stat().st_mode & 0o111
    assert (work / "ü b.txt").read_text() == "2\n"


def test_the_same_revision_gives_the_same_bytes_whatever_the_mirror_went_through(
    origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path
) -> None:
    shas = [origin.commit({"a.txt": f"{number}\n" * 500, f"{number}.txt": "x\n"}) for number in range(6)]
    for sha in shas:
        mirror.ensure(sha, "main")
    other = Mirror(tmp_path / "other.git", str(origin.bare))
    other.ensure(shas[3])
    git(other.folder, "repack", "-adq", "--depth=1", GIT_DIR=str(other.folder))

    assert pack_source(mirror, shas[3], store) == pack_source(other, shas[3], store)


def test_history_is_cut_where_it_is_asked_to(
    origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path
) -> None:
    base, *_, sha = (origin.commit({"a.txt": f"{number}\n"}, message=f"change {number}") for number in range(5))
    mirror.ensure(sha)

    packed = pack_source(mirror, sha, store, depth=2, base=base)
    unpack_source(store, packed.sha256, tmp_path / "work")

    work = tmp_path / "work"
    assert git(work, "log", "--format=%s") == "change 4\nchange 3"
    assert git(work, "diff", "--name-only", base, sha) == "a.txt"
    assert git(work, "fsck") == ""


def test_history_with_merges_is_cut_without_holes(
    origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path
) -> None:
    origin.commit({"a.txt": "1\n"})
    for number in range(4):
        git(origin.clone, "checkout", "--quiet", "-b", f"side-{number}")
        origin.commit({f"{number}.txt": "1\n"}, branch=f"side-{number}")
        git(origin.clone, "checkout", "--quiet", "main")
        git(origin.clone, "merge", "--quiet", "--no-ff", "--no-edit", f"side-{number}")
    sha = origin.commit({"b.txt": "1\n"})
    mirror.ensure(sha)

    for depth in range(1, 12):
        packed = pack_source(mirror, sha, store, depth=depth)
        unpack_source(store, packed.sha256, tmp_path / f"work-{depth}")
        assert git(tmp_path / f"work-{depth}", "fsck") == ""


def test_a_shallow_mirror_gives_what_it_has(origin: Origin, store: ArtifactStore, tmp_path: Path) -> None:
    origin.commit({"a.txt": "1\n"})
    sha = origin.commit({"a.txt": "2\n"})
    mirror = Mirror(tmp_path / "shallow.git", f"file://{origin.bare}", depth=1)
    mirror.ensure(sha)

    unpack_source(store, pack_source(mirror, sha, store).sha256, tmp_path / "work")

    assert git(tmp_path / "work", "log", "--format=%H") == sha


def test_submodules_travel_along(origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path) -> None:
    library = Origin.make(tmp_path / "origin", "library")
    inner = library.commit({"inner.txt": "inner\n"})
    git(origin.clone, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", "../library.git", "vendor/lib")
    sha = origin.commit()
    mirror.ensure(sha)

    packed = pack_source(mirror, sha, store, submodules=True)
    unpack_source(store, packed.sha256, tmp_path / "work")

    assert (tmp_path / "work/vendor/lib/inner.txt").read_text() == "inner\n"
    assert git(tmp_path / "work/vendor/lib", "rev-parse", "HEAD") == inner
    assert git(tmp_path / "work", "status", "--porcelain") == ""


@needs_lfs
def test_lfs_contents_travel_along(origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path) -> None:
    sha = with_lfs(origin, b"large content")
    mirror.ensure(sha)

    unpack_source(store, pack_source(mirror, sha, store, lfs=True).sha256, tmp_path / "work")

    assert (tmp_path / "work/img/a.bin").read_bytes() == b"large content"


def test_lfs_files_nobody_fetches_are_refused_when_packing(
    origin: Origin, mirror: Mirror, store: ArtifactStore
) -> None:
    sha = with_lfs(origin, b"large content")
    mirror.ensure(sha)

    with pytest.raises(MirrorError, match=r"Git LFS keeps elsewhere: img/a\.bin"):
        pack_source(mirror, sha, store)


def test_a_damaged_artifact_is_refused(origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha)
    digest = pack_source(mirror, sha, store).sha256
    file = tmp_path / "store/cas/sha256" / digest[:2] / digest[2:]
    file.chmod(0o600)
    file.write_bytes(file.read_bytes().replace(b"format", b"tamrof"))

    with pytest.raises(CorruptArtifactError):
        unpack_source(store, digest, tmp_path / "work")
    with pytest.raises(ArtifactMissingError):
        unpack_source(store, digest, tmp_path / "work")

    assert not (tmp_path / "work").exists()


def test_an_archive_of_another_commit_is_refused(
    origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path
) -> None:
    first, second = origin.commit({"a.txt": "1\n"}), origin.commit({"a.txt": "2\n"})
    mirror.ensure(second)
    packed = pack_source(mirror, first, store)

    with pytest.raises(MirrorError, match=f"is of commit {first}, and not of {second}"):
        unpack_source(store, packed.sha256, tmp_path / "work", sha=second)


def changed_archive(store: ArtifactStore, digest: str, **first: object) -> str:
    """The archive with other values for its first repository, kept again."""
    output = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(store.get_bytes(digest))) as old,
        tarfile.open(fileobj=output, mode="w") as new,
    ):
        for member in old:
            source = old.extractfile(member)
            assert source
            data = source.read()
            if member.name == "source.json":
                document = json.loads(data)
                document["repositories"][0].update(first)
                data = json.dumps(document).encode()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return store.put_bytes(output.getvalue(), name="changed").sha256


def test_an_archive_that_claims_another_commit_than_it_holds_is_refused(
    origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path
) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha)
    digest = pack_source(mirror, sha, store).sha256

    with pytest.raises(MirrorError, match="is damaged"):
        unpack_source(store, changed_archive(store, digest, sha="1" * 40), tmp_path / "work")

    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("data", [b"", b"no archive", b"\0" * 20480])
def test_what_is_no_archive_is_refused(store: ArtifactStore, tmp_path: Path, data: bytes) -> None:
    digest = store.put_bytes(data, name="x").sha256

    with pytest.raises(MirrorError, match="not an archive of a source"):
        unpack_source(store, digest, tmp_path / "work")


@pytest.mark.parametrize("path", ["../out", "/out", "a/../../out", ".git/hooks", "a/.GIT/x"])
def test_an_archive_cannot_place_anything_outside(
    origin: Origin, mirror: Mirror, store: ArtifactStore, tmp_path: Path, path: str
) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha)
    digest = changed_archive(store, pack_source(mirror, sha, store).sha256, path=path)

    with pytest.raises(MirrorError, match="not an archive of a source"):
        unpack_source(store, digest, tmp_path / "work")


def test_packing_what_is_not_here_says_so(origin: Origin, mirror: Mirror, store: ArtifactStore) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha)

    with pytest.raises(MirrorError, match=r"cannot be checked out|is not in the mirror"):
        pack_source(mirror, "1" * 40, store)
    with pytest.raises(InputError, match="leaves no commit"):
        pack_source(mirror, sha, store, depth=0)
