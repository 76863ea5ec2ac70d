"""What a worker of a cluster says when it cannot begin."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest

from maestro_defs.cluster.__main__ import main
from maestro_defs.cluster.claims import WORKER_TAG, worker_of


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAESTRO_SERVER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("MAESTRO_BROKER_URL", raising=False)


def test_a_broker_that_is_not_named_is_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--home", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "the variable MAESTRO_BROKER_URL is not set" in said
    assert "next: set MAESTRO_BROKER_URL" in said


def test_the_address_of_the_broker_is_no_argument_since_it_may_hold_a_password(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--home", str(tmp_path), "--broker", "redis://:hush-hush@db/0"]) == 2
    said = capsys.readouterr().err
    assert "write env:NAME or file:PATH" in said
    assert "hush-hush" not in said


def test_a_missing_extra_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAESTRO_BROKER_URL", "redis://localhost/0")
    monkeypatch.setitem(sys.modules, "celery.signals", None)
    monkeypatch.setitem(sys.modules, "celery", None)
    assert main(["--home", str(tmp_path)]) == 1
    assert "pip install 'maestro-conductor[cluster]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "name", "waits"),
    [("", None, False), ("one 17", "one 17", False), ("waiting 1", None, True), ("waiting ?", None, False)],
)
def test_what_is_written_on_a_run_about_its_worker_is_read(told: str, name: str | None, waits: bool) -> None:
    worker = worker_of(dg.DagsterRun("delivery", tags={WORKER_TAG: told}))
    assert (worker.name, worker.waits > 0) == (name, waits)
