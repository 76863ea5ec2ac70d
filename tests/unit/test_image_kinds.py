"""``image.build`` before anything is built: parameters, what it needs, and the files it would take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets.build_context import stage_context
from assets.images import IMAGE_BUILD
from maestro.errors import InputError
from tests.unit.step_harness import Harness, harness


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"registry": "app"}, "it names no registry"),
        ({"registry": "localhost:5000/App"}, "a repository has lower-case letters"),
        ({"registry": "localhost:5000/app@sha256:" + "0" * 64}, "names a digest"),
        ({"tags": ["-x"]}, "'-x' is no tag"),
        ({"platforms": ["amd64"]}, "'amd64' is not a platform such as linux/amd64"),
        ({"platforms": ["linux/amd64,--all"]}, "is not a platform"),
        ({"labels": {"a b": "x"}}, "'a b' is not a name"),
        ({"build_args": {"--x": "y"}}, "'--x' is not a name"),
        ({"secrets": ["a,src=/etc/shadow"]}, "is not the name of a secret"),
        ({"target": ""}, "target"),
        ({"contxt": "."}, "contxt"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        IMAGE_BUILD.params.model_validate(params)


def test_it_says_what_it_would_do_and_which_tools_it_needs(step: Harness) -> None:
    params = IMAGE_BUILD.params(registry="localhost:5000/app", platforms=["linux/amd64"], hermetic=True)
    assert IMAGE_BUILD.describe(params) == (
        "Builds an image of '.' for linux/amd64, without a network and pushes it to localhost:5000/app."
    )
    assert step.write({"Dockerfile": "FROM scratch"}).requires(IMAGE_BUILD) == ["buildah", "unshare", "bash"]


def test_a_context_without_a_containerfile_is_an_input_error(step: Harness) -> None:
    with pytest.raises(InputError) as caught:
        step.requires(IMAGE_BUILD)
    assert caught.value.what == "there is no Containerfile or Dockerfile in '.'"
    with pytest.raises(InputError, match=r"there is no 'deploy/Containerfile'"):
        step.requires(IMAGE_BUILD, containerfile="deploy/Containerfile")
    with pytest.raises(InputError, match="'context' is 'api', and there is no such folder"):
        step.requires(IMAGE_BUILD, context="api")
    with pytest.raises(InputError, match="which may lie outside the workspace"):
        step.requires(IMAGE_BUILD, containerfile="../Containerfile")


def test_a_time_that_is_none_is_refused(step: Harness) -> None:
    step.write({"Containerfile": "FROM scratch\n"}).env["SOURCE_DATE_EPOCH"] = "yesterday"
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH is 'yesterday', which is no time in whole seconds"):
        step.run(IMAGE_BUILD)


def test_a_containerfile_that_is_no_text_is_refused(step: Harness) -> None:
    (step.workspace / "Containerfile").write_bytes(b"FROM \xff\xfe")
    with pytest.raises(InputError, match="'Containerfile' cannot be read: it is not UTF-8 text"):
        step.run(IMAGE_BUILD)
    (step.workspace / "Containerfile").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(InputError, match="'Containerfile' is larger than 1 MiB"):
        step.run(IMAGE_BUILD)


def staged(step: Harness, context: str = ".") -> dict[str, int]:
    target = step.private / "staged"
    stage_context(step.workspace, step.workspace / context, target)
    files = (place for place in target.rglob("*") if place.is_symlink() or place.is_file())
    return {str(place.relative_to(target)): place.lstat().st_mode & 0o777 for place in files}


def test_files_have_one_of_two_modes_whatever_the_umask(step: Harness) -> None:
    step.write({"a": "", "bin/run": ""})
    (step.workspace / "a").chmod(0o600)
    (step.workspace / "bin/run").chmod(0o700)
    assert staged(step) == {"a": 0o644, "bin/run": 0o755}


def test_links_stay_links_and_pipes_are_left_out(step: Harness) -> None:
    import os

    step.write({"a": "a"})
    (step.workspace / "link").symlink_to("/etc/passwd")
    os.mkfifo(step.workspace / "pipe")
    assert set(staged(step)) == {"a", "link"}
    assert (step.private / "staged/link").readlink() == Path("/etc/passwd")


def test_plainly_ignored_folders_are_not_even_copied_unless_something_is_taken_back(step: Harness) -> None:
    step.write({"node_modules/a": "", "docs/b": "", "c": "", ".dockerignore": "node_modules/\n# docs\n*.log\n"})
    assert set(staged(step)) == {".dockerignore", "c", "docs/b"}


def test_with_an_exception_every_line_is_left_to_buildah(step: Harness) -> None:
    step.write({"docs/b": "", "docs/keep": "", ".containerignore": "docs\n!docs/keep\n"})
    assert set(staged(step)) == {".containerignore", "docs/b", "docs/keep"}


def test_what_is_no_source_stays_out(step: Harness) -> None:
    step.write(
        {".git/HEAD": "", ".maestro/x": "", "oci-images/i.tar": "", "kept/.git": "", "v/.gitignore": " *\n", "v/x": ""}
    )
    assert set(staged(step)) == {"kept/.git"}
