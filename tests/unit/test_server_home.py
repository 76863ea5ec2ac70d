"""A server's home is for its owner alone."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.server.home import find_server


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_nobody_else_gets_into_the_home_or_its_folders(tmp_path: Path) -> None:
    home = find_server(tmp_path / "home", environ={})
    folders = [home.folder, home.dagster, home.mirrors, home.worktrees, home.projects, home.logs, home.sockets]
    assert {mode(folder) for folder in folders} == {0o700}


def test_a_home_that_was_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o755)
    find_server(folder, environ={})
    assert mode(folder) == 0o700


def test_sockets_are_not_put_where_a_link_in_the_folder_for_temporary_files_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    home = find_server(tmp_path / ("long" * 25), environ={})
    real = home.sockets
    assert real.parent == tmp_path / "t"
    real.rmdir()
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    real.symlink_to(open_folder)
    with pytest.raises(InputError, match="belongs to somebody else"):
        _ = home.sockets


def test_strangers_get_no_network_unless_the_server_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    assert find_server(folder, environ={}).settings.forks.network is False
    (folder / "server.yaml").write_text("forks: {network: true}\n")
    assert find_server(folder, environ={}).settings.forks.network is True
    (folder / "server.yaml").write_text("forks: {network: perhaps}\n")
    with pytest.raises(InputError, match=r"forks\.network"):
        find_server(folder, environ={})
