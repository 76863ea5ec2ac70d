"""What a sandboxed step leaves cannot lead the run worker to what the step itself could not see."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from maestro.process.sandbox_links import remove_strays


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "scratch"
    (made / "inner").mkdir(parents=True)
    (tmp_path / "secret").write_text("of another project")
    return made


@pytest.mark.parametrize("target", ["../../secret", "SECRET", "/proc/self/environ", "/root", "/etc/shadow"])
def test_a_link_to_what_the_step_does_not_see_is_removed(folder: Path, target: str) -> None:
    link = folder / "inner" / "output"
    link.symlink_to(target.replace("SECRET", str(folder.parent / "secret")))
    assert remove_strays(folder) == [link]
    assert not link.is_symlink()
    assert (folder.parent / "secret").read_text() == "of another project"


def test_a_link_by_way_of_another_one_is_judged_by_where_it_ends(folder: Path) -> None:
    (folder / "way").symlink_to(folder.parent)
    (folder / "output").symlink_to("way/secret")
    assert set(remove_strays(folder)) >= {folder / "way"}
    assert not (folder / "output").exists()


@pytest.mark.parametrize("target", ["inner", "/usr/bin/env", "/etc/hosts", "inner/not-there-yet"])
def test_links_to_what_the_step_sees_stay(folder: Path, target: str) -> None:
    (folder / "link").symlink_to(target)
    assert remove_strays(folder) == []
    assert (folder / "link").is_symlink()


def test_links_into_a_further_folder_the_step_sees_stay(folder: Path) -> None:
    workspace = folder.parent / "workspace"
    workspace.mkdir()
    (folder / "link").symlink_to(workspace)
    assert remove_strays(folder, (workspace,)) == []


def test_a_pipe_at_which_the_worker_would_wait_for_ever_is_removed(folder: Path) -> None:
    os.mkfifo(folder / "output")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        assert sorted(remove_strays(folder)) == [folder / "output", folder / "s"]


def test_a_folder_the_step_has_closed_is_looked_into(folder: Path) -> None:
    (folder / "inner" / "link").symlink_to("/root")
    (folder / "inner").chmod(0o500)
    assert [one.name for one in remove_strays(folder)] == ["link"]
