"""Step kind ``artifact.put``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from assets.artifacts import ARTIFACT_PUT
from maestro.errors import InputError
from maestro.steps import Output
from tests.unit.step_harness import Harness, harness


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path).write({"out/a.txt": "aa", "out/deep/b.json": "{}", "out/[x].txt": "x", "c": "c"})


def test_a_file_is_kept_under_its_path_or_the_name_given(step: Harness) -> None:
    assert step.run(ARTIFACT_PUT, path="out/a.txt").outputs == [Output("out/a.txt", "out/a.txt")]
    named = step.run(ARTIFACT_PUT, path="out/a.txt", name="notes", media_type="text/markdown")
    assert named.outputs == [Output("notes", "out/a.txt", "text/markdown")]
    assert named.summary == "1 file, 2 bytes"


def test_a_folder_is_kept_with_all_beneath_it_and_a_glob_with_what_it_matches(step: Harness) -> None:
    every = [output.path for output in step.run(ARTIFACT_PUT, path="out").outputs]
    assert every == ["out/[x].txt", "out/a.txt", "out/deep/b.json"]
    assert [output.path for output in step.run(ARTIFACT_PUT, path="out/**/*.json").outputs] == ["out/deep/b.json"]
    named = step.run(ARTIFACT_PUT, path="out/*.txt", name="texts")
    assert [output.name for output in named.outputs] == ["texts/out/[x].txt", "texts/out/a.txt"]
    assert named.metadata == {"files": 2, "bytes": 3}


def test_a_path_that_exists_is_no_glob(step: Harness) -> None:
    assert [output.path for output in step.run(ARTIFACT_PUT, path="out/[x].txt").outputs] == ["out/[x].txt"]


def test_gits_own_files_are_never_kept(step: Harness) -> None:
    step.write({".git/config": "", "out/.git/config": ""})
    paths = [output.path for output in step.run(ARTIFACT_PUT, path="**/*").outputs]
    assert paths == ["c", "out/[x].txt", "out/a.txt", "out/deep/b.json"]


def test_nothing_matched_fails_unless_it_is_not_required(step: Harness) -> None:
    missing = step.run(ARTIFACT_PUT, path="none/*.xml")
    assert (missing.passed, missing.summary) == (False, "no file matches 'none/*.xml'")
    assert step.run(ARTIFACT_PUT, path="none/*.xml", required=False).passed


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "out/../../x", "a\0b"])
def test_a_path_may_not_leave_the_workspace(step: Harness, path: str) -> None:
    with pytest.raises(InputError) as caught:
        step.run(ARTIFACT_PUT, path=path)
    assert caught.value.what == f"'path' is '{path}', which may lie outside the workspace"
    assert caught.value.next_step == "give a path relative to the workspace, without '..'"


@pytest.mark.parametrize("path", ["out/leak", "out", "out/*", "leak/passwd"])
def test_a_symbolic_link_may_not_lead_out(step: Harness, path: str) -> None:
    (step.workspace / "out/leak").symlink_to("/etc/passwd")
    (step.workspace / "leak").symlink_to("/etc")
    with pytest.raises(InputError, match="a symbolic link that leads out of the workspace"):
        step.run(ARTIFACT_PUT, path=path)


def test_a_link_within_the_workspace_is_followed_and_a_broken_one_is_no_file(step: Harness) -> None:
    (step.workspace / "out/good").symlink_to("a.txt")
    (step.workspace / "out/broken").symlink_to("nothing")
    assert "out/good" in [output.path for output in step.run(ARTIFACT_PUT, path="out/*").outputs]
    assert step.run(ARTIFACT_PUT, path="out/broken").summary == "no file matches 'out/broken'"


def test_a_bad_glob_is_an_input_error(step: Harness) -> None:
    with pytest.raises(InputError, match=r"'path' is 'out/\*\*x', where '\*\*' is not a whole name"):
        step.run(ARTIFACT_PUT, path="out/**x")


def test_a_media_type_must_look_like_one() -> None:
    with pytest.raises(ValidationError, match="media_type"):
        ARTIFACT_PUT.params.model_validate({"path": "a", "media_type": "xml"})


def test_it_says_what_it_would_do() -> None:
    assert ARTIFACT_PUT.describe(ARTIFACT_PUT.params(path="dist")) == "Keeps 'dist' as artifacts."
