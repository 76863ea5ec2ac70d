from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.process.output_pattern import output_pattern
from maestro.process.sandbox import Sandbox, require_bubblewrap
from maestro.process.sandbox_view import copy_source, remove_view


def test_without_bubblewrap_the_package_is_named() -> None:
    with pytest.raises(InputError) as raised:
        require_bubblewrap(lambda _tool: None)
    assert raised.value.what == "a step asks for a sandbox, but bubblewrap (bwrap) is not installed"
    assert raised.value.next_step == (
        "install the package bubblewrap (Debian: apt install bubblewrap), or remove `sandbox: true`"
    )


def test_without_user_namespaces_the_setting_is_named(tmp_path: Path) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    with pytest.raises(InputError) as raised:
        require_bubblewrap(lambda _tool: str(refusing))
    assert raised.value.what == (
        "a step asks for a sandbox, but bubblewrap cannot make one here: bwrap: No permissions to create new namespace"
    )
    assert "sysctl user.max_user_namespaces=15000" in (raised.value.next_step or "")


def test_a_bubblewrap_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bubblewrap cannot make one here: No such file or directory"):
        require_bubblewrap(lambda _tool: str(tmp_path / "gone"))


def test_a_list_of_hosts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        Sandbox.prepare(
            which=shutil.which,
            workspace=tmp_path,
            scratch=tmp_path,
            network=["packages.example.org", "images.example.org"],
        )
    assert raised.value.what == (
        "`network: [packages.example.org, images.example.org]` is not available yet: a sandbox cannot hold a step to some hosts"
    )
    assert raised.value.next_step == "use `network: true` (everything) or `network: false` (nothing)"


def test_the_root_of_the_file_system_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a sandbox cannot have / as its workspace"):
        Sandbox.prepare(which=shutil.which, workspace=Path("/"), scratch=tmp_path)


@pytest.mark.parametrize("option", ["writable", "readable"])
def test_a_folder_that_does_not_exist_cannot_be_shown(tmp_path: Path, option: str) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(InputError, match=f"a sandbox cannot show {absent}: it does not exist"):
        shown: dict[str, Any] = {option: [absent]}
        Sandbox.prepare(which=shutil.which, workspace=tmp_path, scratch=tmp_path, **shown)


def test_a_source_that_cannot_be_copied_is_reported(tmp_path: Path) -> None:
    # A file that no one can read from its beginning, root included.
    with pytest.raises(InputError) as raised:
        copy_source(Path(f"/proc/{os.getpid()}"), tmp_path / "view", ["mem"])
    assert raised.value.what.startswith("the source cannot be copied for the sandbox: cp: ")
    assert raised.value.next_step == "make the file readable, or free space on the disk"


def test_removing_a_view_that_was_never_made_does_nothing(tmp_path: Path) -> None:
    remove_view(tmp_path / "view")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("report.xml", "report.xml", True),
        ("report.xml", "sub/report.xml", False),
        ("./report.xml", "report.xml", True),
        ("*.xml", "a.xml", True),
        ("*.xml", "sub/a.xml", False),
        ("**/*.xml", "a.xml", True),
        ("**/*.xml", "x/y/a.xml", True),
        ("dist/**", "dist/a/b", True),
        ("dist", "dist/a/b", True),
        ("dist/", "dist/a", True),
        ("dist", "distance", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab].txt", "b.txt", True),
        ("[!ab].txt", "b.txt", False),
        ("[!ab].txt", "c.txt", True),
        ("a.b+(c)", "a.b+(c)", True),
        ("a.b", "axb", False),
    ],
)
def test_a_glob_of_outputs_means(glob: str, path: str, matches: bool) -> None:
    assert bool(output_pattern([glob]).fullmatch(path)) is matches


def test_no_glob_means_nothing() -> None:
    assert output_pattern([]).fullmatch("") is None


def test_a_view_inside_the_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    with pytest.raises(InputError) as raised:
        copy_source(tmp_path, tmp_path / "inner/view")
    assert raised.value.what.endswith("would lie in the source it shows")
    assert raised.value.next_step == f"put them outside of {tmp_path} or under .maestro/"


def test_a_view_is_removed_whatever_permissions_are_left(tmp_path: Path) -> None:
    closed = tmp_path / "view/a/b"
    closed.mkdir(parents=True)
    (closed / "file").write_text("x")
    closed.chmod(0)
    remove_view(tmp_path / "view")
    assert list(tmp_path.iterdir()) == []
