"""A repository is not trusted: nothing in it is run, obeyed or followed by the server's own git."""

from __future__ import annotations

from pathlib import Path

import pytest

from maestro.mirror import Mirror, MirrorError, worktree
from tests.integration.mirror_origin import Origin, git


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.make(tmp_path / "origin")


@pytest.fixture
def mirror(origin: Origin, tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirrors/app.git", str(origin.bare))


def trap(folder: Path) -> tuple[Path, Path]:
    """A program, and the file it leaves when somebody runs it."""
    mark, program = folder / "sprung", folder / "trap"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    return program, mark


def test_no_hook_runs(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    mirror.ensure(origin.commit({"a.txt": "1\n"}), "main")
    program, mark = trap(tmp_path)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        (mirror.folder / "hooks").mkdir(exist_ok=True)
        (mirror.folder / "hooks" / hook).symlink_to(program)
    sha = origin.commit({"a.txt": "2\n"})

    mirror.ensure(sha, "main")
    worktree(mirror, sha, tmp_path / "work")
    mirror.prune(set())

    assert not mark.exists()


def test_settings_a_step_wrote_into_the_mirror_run_nothing(
    origin: Origin, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.ensure(origin.commit({"a.txt": "1\n"}), "main")
    program, mark = trap(tmp_path)
    for setting in ("core.fsmonitor", "filter.evil.smudge", "core.sshCommand", "uploadpack.packObjectsHook"):
        git(mirror.folder, "config", setting, str(program), GIT_DIR=str(mirror.folder))
    sha = origin.commit({".gitattributes": "* filter=evil\n", "a.txt": "2\n"})

    mirror.ensure(sha, "main")
    folder = worktree(mirror, sha, tmp_path / "work")

    assert (folder / "a.txt").read_text() == "2\n"
    assert not mark.exists()


def test_filters_and_templates_of_the_servers_account_are_not_used(
    origin: Origin, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, mark = trap(tmp_path)
    (tmp_path / ".gitconfig").write_text(
        f'[filter "lfs"]\n\tsmudge = {program}\n\tprocess = {program}\n[core]\n\tfsmonitor = {program}\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    sha = origin.commit({".gitattributes": "*.txt filter=lfs\n", "a.txt": "2\n"})

    mirror.ensure(sha, "main")
    folder = worktree(mirror, sha, tmp_path / "work")

    assert (folder / "a.txt").read_text() == "2\n"
    assert not mark.exists()


@pytest.mark.parametrize("name", [".git", ".GIT", "..", "git~1"])
def test_a_tree_that_would_write_into_a_repository_is_not_let_in(
    origin: Origin, mirror: Mirror, tmp_path: Path, name: str
) -> None:
    origin.commit({"a.txt": "1\n"})
    sha = crafted(origin, name)

    with pytest.raises(MirrorError, match=r"cannot be fetched: .*(hasDotgit|hasDotdot)"):
        mirror.ensure(sha, "evil")


def crafted(origin: Origin, name: str) -> str:
    """A commit in the origin whose tree has a folder ``name``, which git itself would never write."""
    import subprocess

    def put(kind: str, data: bytes) -> str:
        return (
            subprocess.run(
                ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"],
                cwd=origin.bare,
                input=data,
                capture_output=True,
                check=True,
            )
            .stdout.decode()
            .strip()
        )

    inner = put("tree", b"100644 config\0" + bytes.fromhex(put("blob", b"[core]\n")))
    tree = put("tree", b"40000 " + name.encode() + b"\0" + bytes.fromhex(inner))
    person = b"Eve <eve@example.com> 1700000000 +0000"
    sha = put("commit", b"tree " + tree.encode() + b"\nauthor " + person + b"\ncommitter " + person + b"\n\nx\n")
    git(origin.bare, "update-ref", "refs/heads/evil", sha)
    return sha


def test_honest_slips_of_old_tools_are_let_in(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    import subprocess

    origin.commit({"a.txt": "1\n"})
    tree = git(origin.bare, "rev-parse", "main^{tree}")
    data = f"tree {tree}\nauthor A <a@b> 1300000000 +051800\ncommitter A <a@b> 1300000000 +051800\n\nold\n"
    sha = (
        subprocess.run(
            ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
            cwd=origin.bare,
            input=data.encode(),
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    git(origin.bare, "update-ref", "refs/heads/old", sha)

    mirror.ensure(sha, "old")

    assert (worktree(mirror, sha, tmp_path / "work") / "a.txt").is_file()


def test_a_mirror_that_is_no_repository_is_not_taken_for_the_one_around_it(origin: Origin, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    before = git(outer, "config", "--list", "--local")
    mirror = Mirror(outer / "mirrors/app.git", str(origin.bare))
    (outer / "mirrors/app.git/objects").mkdir(parents=True)
    (outer / "mirrors/app.git/HEAD").write_text("nonsense\n")
    sha = origin.commit({"a.txt": "1\n"})

    mirror.ensure(sha, "main")

    assert mirror.read(sha, "a.txt") == b"1\n"
    assert git(outer, "config", "--list", "--local") == before
    assert git(outer, "for-each-ref") == ""
