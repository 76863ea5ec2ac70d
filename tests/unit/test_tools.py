"""Asking tools for their versions runs them: never what somebody who is not trusted has brought."""

from __future__ import annotations

from pathlib import Path

import pytest

from maestro.execution.tools import Tools
from maestro.steps import Requirement


def program(file: Path, mark: Path, says: str = "1.0") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\ntouch {mark}\necho {says} $GIVEN\n")
    file.chmod(0o755)
    return file


def test_a_program_of_a_strangers_checkout_is_never_started(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    python = program(tmp_path / "work/.venv/bin/python", mark)
    tools = Tools("/usr/bin:/bin", None, strange=tmp_path / "work")
    (version,) = tools.versions([Requirement(str(python), "")]).values()
    assert version.startswith("sha256 ")
    assert not mark.exists()
    program(python, mark, "2.0")
    assert tools.versions([Requirement(str(python), "")])[str(python)] != version


@pytest.mark.parametrize("way", ["work/link", "work/bin/link", "outside/link"])
def test_nor_one_that_is_reached_by_a_link_of_it(tmp_path: Path, way: str) -> None:
    mark = tmp_path / "ran"
    work = tmp_path / "work"
    target = program(work / "evil" if way.startswith("outside") else tmp_path / "elsewhere/tool", mark)
    link = tmp_path / way
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    Tools("/usr/bin:/bin", None, strange=work).versions([Requirement(str(link), "")])
    assert not mark.exists()


def test_a_tool_gets_the_environment_of_steps_and_not_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", "of-the-server")
    tool = program(tmp_path / "bin/tool", tmp_path / "ran")
    tools = Tools(str(tmp_path / "bin"), None, strange=tmp_path / "work", environment={"PATH": "/usr/bin:/bin"})
    assert tools.versions([Requirement(tool.name, "")]) == {"tool": "1.0"}
