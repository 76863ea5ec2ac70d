"""Where the ledger is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.ledger.place import is_there, ledger_url


def server(folder: Path, settings: str = "") -> dict[str, str]:
    folder.mkdir(mode=0o700)
    if settings:
        (folder / "server.yaml").write_text(settings)
    return {"MAESTRO_SERVER_HOME": str(folder)}


def test_a_project_has_its_ledger_in_its_own_state(tmp_path: Path) -> None:
    assert ledger_url(tmp_path, {}) == f"sqlite:///{tmp_path / 'ledger.db'}"
    assert not is_there(tmp_path, {})
    (tmp_path / "ledger.db").touch()
    assert is_there(tmp_path, {})


def test_a_server_without_a_database_has_one_file_for_all_projects(tmp_path: Path) -> None:
    environ = server(tmp_path / "server")
    assert ledger_url(tmp_path / "project", environ) == f"sqlite:///{tmp_path / 'server' / 'ledger.db'}"
    assert is_there(tmp_path / "project", environ)


def test_a_server_with_a_database_has_the_ledger_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARED", "postgresql://maestro@db/maestro")
    environ = server(tmp_path / "server", "database: env:SHARED\n")
    assert ledger_url(tmp_path, environ) == "postgresql://maestro@db/maestro"


def test_a_server_whose_database_is_not_known_has_no_ledger_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHARED", raising=False)
    with pytest.raises(InputError, match="the variable SHARED is not set"):
        ledger_url(tmp_path, server(tmp_path / "server", "database: env:SHARED\n"))
