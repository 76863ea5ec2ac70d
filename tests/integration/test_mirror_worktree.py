"""A checkout has one revision of a mirror; git works in it, and what happens in it stays in it."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.execution.scope import GitScope
from maestro.mirror import Mirror, MirrorError, UnreachableError, remove_worktree, worktree
from maestro.project import Project, checkout, revision_of
from tests.integration.mirror_origin import Origin, git

needs_lfs = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.make(tmp_path / "origin")


@pytest.fixture
def mirror(origin: Origin, tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirrors/app.git", str(origin.bare))


def test_git_answers_in_a_checkout_as_in_a_clone(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    origin.commit({"a.txt": "1\n"}, message="first")
    git(origin.clone, "tag", "--annotate", "--message", "one", "v1")
    git(origin.clone, "push", "--quiet", "origin", "v1")
    sha = origin.commit({"run.sh": "#!/bin/sh\n"}, message="second")
    mirror.ensure(sha, "main")

    folder = worktree(mirror, sha, tmp_path / "work")

    assert git(folder, "rev-parse", "HEAD") == sha
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "describe") == f"v1-1-g{sha[:7]}"
    assert git(folder, "log", "--format=%s") == "second\nfirst"
    assert git(folder, "rev-parse", "origin/main", "origin/HEAD") == f"{sha}\n{sha}"
    assert git(folder, "config", "remote.origin.url") == str(origin.bare)


def test_modes_and_links_are_checked_out(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    (origin.clone / "run.sh").write_text("#!/bin/sh\n")
    (origin.clone / "run.sh").chmod(0o755)
    (origin.clone / "link").symlink_to("run.sh")
    sha = origin.commit({"ü ñ.txt": "1\n"})
    mirror.ensure(sha)

    folder = worktree(mirror, sha, tmp_path / "work")

    assert os.access(folder / "run.sh", os.X_OK)
    assert (folder / "link").readlink() == Path("run.sh")
    assert (folder / "ü ñ.txt").read_text() == "1\n"


def test_what_a_step_does_to_its_repository_reaches_no_other(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha, "main")
    first = worktree(mirror, sha, tmp_path / "first")
    before = mirror.git.text("for-each-ref")

    git(first, "tag", "v9")
    git(first, "config", "core.hooksPath", ".husky")
    (first / "b.txt").write_text("2\n")
    git(first, "add", "--all")
    git(first, "commit", "--quiet", "--message", "mine")
    git(first, "branch", "--force", "main", "HEAD")
    second = worktree(mirror, sha, tmp_path / "second")

    assert mirror.git.text("for-each-ref") == before
    assert git(second, "tag") == ""
    assert git(second, "config", "core.hooksPath", check=False) == ""


def test_a_checkout_is_removed_whatever_a_step_left_in_it(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha)
    folder = worktree(mirror, sha, tmp_path / "work")
    (folder / "locked").mkdir()
    (folder / "locked/file").touch()
    (folder / "locked").chmod(0o500)

    remove_worktree(folder)

    assert not folder.exists()
    remove_worktree(folder)


def test_a_commit_that_is_not_here_is_an_error_and_leaves_no_folder(
    origin: Origin, mirror: Mirror, tmp_path: Path
) -> None:
    mirror.ensure(origin.commit({"a.txt": "1\n"}))

    with pytest.raises(MirrorError, match=f"commit {'1' * 40} of .* cannot be checked out"):
        worktree(mirror, "1" * 40, tmp_path / "work")

    assert not (tmp_path / "work").exists()


def test_a_folder_that_holds_something_is_left_alone(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha)
    (tmp_path / "work").mkdir()
    (tmp_path / "work/mine.txt").write_text("mine\n")

    with pytest.raises(InputError, match="is not empty"):
        worktree(mirror, sha, tmp_path / "work")

    assert (tmp_path / "work/mine.txt").read_text() == "mine\n"


def test_a_checkout_survives_tidying_of_its_mirror(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = origin.commit({"a.txt": "1\n"})
    mirror.ensure(sha, "main")
    folder = worktree(mirror, sha, tmp_path / "work")

    mirror.prune({sha})
    git(mirror.folder, "gc", "--quiet", GIT_DIR=str(mirror.folder))

    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "fsck") == ""


def test_a_mirror_is_a_project_whose_branches_are_the_origins(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    first = origin.commit({"a.txt": "1\n"}, message="first")
    sha = origin.commit({"b.txt": "1\n"}, message="second", branch="feature")
    mirror.ensure(first, "main")
    mirror.ensure(sha, "feature")
    project = Project(mirror.folder, tmp_path / "maestro.yaml", tmp_path / "home")

    revision = revision_of(project, "feature")
    scope = GitScope(project, revision, None)

    assert (revision.id, revision.branch, sorted(revision.files)) == (sha, "feature", ["a.txt", "b.txt"])
    assert revision_of(project, sha).id == sha
    assert scope["message"] == "second"
    assert scope["base"] == first
    assert scope.changed_files == ("b.txt",)
    assert project.default_name() == "app"
    with checkout(project, revision) as folder:
        assert git(folder, "rev-parse", "HEAD") == sha
        assert (folder / "b.txt").read_text() == "1\n"
    assert not folder.exists()
    with pytest.raises(InputError, match="there is no revision 'nothing'"):
        revision_of(project, "nothing")


def with_lfs(origin: Origin, content: bytes, *, uploaded: bool = True) -> str:
    """A commit with a file that Git LFS keeps, whose content the origin has or has not."""
    oid = hashlib.sha256(content).hexdigest()
    if uploaded:
        place = origin.bare / "lfs/objects" / oid[:2] / oid[2:4] / oid
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    return origin.commit({"img/.gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "img/a.bin": pointer})


def test_lfs_files_are_refused_by_name_unless_the_project_fetches_them(
    origin: Origin, mirror: Mirror, tmp_path: Path
) -> None:
    sha = with_lfs(origin, b"content")
    mirror.ensure(sha)

    with pytest.raises(MirrorError, match=r"Git LFS keeps elsewhere: img/a\.bin\n  next: let the project fetch them"):
        worktree(mirror, sha, tmp_path / "work")

    assert not (tmp_path / "work").exists()


def test_lfs_pointers_are_left_when_that_is_asked_for(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = with_lfs(origin, b"content")
    mirror.ensure(sha)

    folder = worktree(mirror, sha, tmp_path / "work", lfs=None)

    assert (folder / "img/a.bin").read_text().startswith("version https://git-lfs")


def test_lfs_files_without_git_lfs_are_refused_by_name(
    origin: Origin, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = with_lfs(origin, b"content")
    mirror.ensure(sha)
    (tmp_path / "bin").mkdir()
    found = shutil.which("git")
    assert found
    (tmp_path / "bin/git").symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with pytest.raises(MirrorError, match=r"git-lfs is not installed, but commit .* needs it for img/a\.bin"):
        worktree(mirror, sha, tmp_path / "work", lfs=True)


@needs_lfs
def test_lfs_files_are_fetched_from_the_origin(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = with_lfs(origin, b"content")
    mirror.ensure(sha)

    folder = worktree(mirror, sha, tmp_path / "work", lfs=True)

    assert (folder / "img/a.bin").read_bytes() == b"content"
    assert git(folder, "status", "--porcelain") == ""


@needs_lfs
def test_an_lfs_file_the_origin_does_not_have_is_named(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = with_lfs(origin, b"content", uploaded=False)
    mirror.ensure(sha)

    with pytest.raises(UnreachableError, match=r"LFS files of commit .* cannot be had .*: img/a\.bin"):
        worktree(mirror, sha, tmp_path / "work", lfs=True)


def test_a_repository_with_attributes_and_no_lfs_is_checked_out(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = origin.commit({".gitattributes": "*.txt eol=crlf\n", "a.txt": "1\n"})
    mirror.ensure(sha)

    assert (worktree(mirror, sha, tmp_path / "work") / "a.txt").read_bytes() == b"1\r\n"
