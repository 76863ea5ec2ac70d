"""A disk that is full while an endpoint on one machine audits: a warning, and the next time it is tried again."""

from __future__ import annotations

import errno
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from maestro.gateway import llm_audit
from maestro.gateway.llm_audit import audit_project, audited
from maestro.llm.auditing import DecisionAudit
from tests.unit.money_project import MoneyProject, money_project

FULL = "why models were asked is not in the audit log yet: [Errno 28] No space left on device"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    for name in ("MAESTRO_SERVER_HOME", "MAESTRO_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    made = money_project(tmp_path / "shop")
    assert made.run("budget", "show").code == 0
    return made


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Counts what was tried, while the disk is full."""
    tried = threading.Semaphore(0)

    def full(_audit: DecisionAudit, **_how: object) -> int:
        tried.release()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(DecisionAudit, "rest", full)
    return tried


def test_it_is_told_in_a_line(shop: MoneyProject, tries: threading.Semaphore, caplog: pytest.LogCaptureFixture) -> None:
    audit_project(shop.root, None, timedelta(0))
    assert [one.getMessage() for one in caplog.records] == [FULL]
    assert caplog.records[0].exc_info is None


def test_it_is_tried_again_and_again_and_at_the_end(
    shop: MoneyProject, tries: threading.Semaphore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(llm_audit, "EVERY_SECONDS", 0.01)
    with audited(shop.root, None):
        assert all(tries.acquire(timeout=60) for _ in range(3))
    assert len(caplog.records) >= 4
    assert {one.getMessage() for one in caplog.records} == {FULL}
