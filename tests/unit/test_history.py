"""What a model step is told of the revision: the difference, the files, the commits since."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from assets.llm_variables import filled
from maestro.errors import InputError
from maestro.execution.history import GitHistory
from maestro.execution.scope import GitScope
from maestro.project import Project, current_revision, revision_of


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.py").write_text("one = 1\n")
    commit(tmp_path, "First")
    git(tmp_path, "tag", "v1")
    git(tmp_path, "switch", "-q", "-c", "topic")
    (tmp_path / "a.py").write_text("one = 2\n")
    (tmp_path / "b.py").write_text("two = 2\n")
    commit(tmp_path, "fix: one is two\n\nBecause it has to be.")
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", "-C", str(root), *who, *arguments], check=True, capture_output=True)


def commit(root: Path, message: str) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


def history(root: Path, revision: str | None = None) -> GitHistory:
    project = Project.find(root)
    found = current_revision(project) if revision is None else revision_of(project, revision)
    return GitHistory(project, found, GitScope(project, found, None))


def test_the_difference_is_to_where_the_branch_left_the_default_branch(repository: Path) -> None:
    diff = history(repository).diff()
    assert "--- a/a.py\n+++ b/a.py\n" in diff
    assert "-one = 1\n+one = 2\n" in diff
    assert history(repository).changed_files() == ["a.py", "b.py"]


def test_an_uncommitted_change_is_part_of_the_difference(repository: Path) -> None:
    (repository / "c.py").write_text("three = 3\n")
    assert "+three = 3" in history(repository).diff()


def test_commits_are_told_with_their_bodies_the_newest_first(repository: Path) -> None:
    told = history(repository).log("v1")
    assert told.splitlines()[0].endswith("fix: one is two")
    assert "  Because it has to be." in told
    assert "First" not in told


def test_without_anything_to_compare_with_everything_is_new(repository: Path) -> None:
    assert "+one = 1" in history(repository, "v1").diff()


def test_a_long_difference_is_cut_off_and_says_so(repository: Path) -> None:
    assert (
        history(repository)
        .diff(most_bytes=40)
        .endswith("[the difference is longer than 40 bytes; the rest is left out]\n")
    )


def test_attributes_of_the_repository_start_no_program(repository: Path) -> None:
    git(repository, "config", "diff.evil.command", "touch ran")
    git(repository, "config", "diff.evil.textconv", "touch ran; cat")
    (repository / ".gitattributes").write_text("*.py diff=evil\n")
    commit(repository, "attributes")
    assert "+one = 2" in history(repository).diff()
    assert not (repository / "ran").exists()


def test_an_unknown_beginning_is_named(repository: Path) -> None:
    with pytest.raises(InputError, match="there is no revision 'v9' to begin at"):
        history(repository).diff("v9")


def test_a_prompt_s_variables_are_filled_from_the_history(repository: Path) -> None:
    found = filled({"diff", "files", "revision", "extra"}, {"since": "v1"}, history(repository), "abc")
    assert found["files"] == ["a.py", "b.py"]
    assert found["revision"] == "abc"
    assert "extra" not in found
    assert "log" not in found


def test_what_the_workflow_gives_is_not_filled(repository: Path) -> None:
    assert filled({"diff"}, {"diff": "mine"}, history(repository), "")["diff"] == "mine"
