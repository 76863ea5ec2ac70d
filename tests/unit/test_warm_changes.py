"""When the warm server is out of date."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from maestro.server.home import find_server
from maestro_defs.warm.changes import changed, stamps


def test_nothing_has_changed_at_first(tmp_path: Path) -> None:
    assert changed(stamps(find_server(tmp_path))) == []


def test_new_settings_are_a_change(tmp_path: Path) -> None:
    home = find_server(tmp_path)
    before = stamps(home)
    (tmp_path / "server.yaml").write_text("profile: single\n")
    assert changed(before) == [tmp_path / "server.yaml"]


def test_edited_code_is_a_change_and_so_is_code_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "of_this_test.py"
    code.write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("of_this_test")
    try:
        before = stamps(find_server(tmp_path / "home"))
        code.write_text("changed = True")
        assert changed(before) == [code]
        code.unlink()
        assert changed(before) == [code]
    finally:
        del sys.modules["of_this_test"]


def test_the_standard_library_and_installed_packages_are_looked_at_as_a_whole(tmp_path: Path) -> None:
    files = stamps(find_server(tmp_path))
    assert not any("site-packages" in file.parts and file.suffix == ".py" for file in files)
    assert any(file.name == "site-packages" for file in files)
    assert Path(pytest.__file__) not in files
