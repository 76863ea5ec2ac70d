"""A waiver lets the vulnerable example pass for a time; the audit log tells all of it, and that nobody changed it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli_process import until
from tests.e2e.example import FINDING, REASON, Example

_SECONDS = 15


@dataclass(frozen=True)
class Story:
    """What was done, and how the example stood after each part.

    Args:
        waivers: the id of the one that expired, and of the one that was revoked.
        waived: while the first one counted.
        deployed: by the second one.
    """

    waivers: tuple[str, str]
    waived: Example
    expired: Example
    deployed: Example
    revoked: Example


@pytest.fixture(scope="module")
def story(delivered_example: Example, tmp_path_factory: pytest.TempPathFactory) -> Story:
    example = delivered_example.copy(tmp_path_factory.mktemp("waivers") / "app")
    soon = datetime.now(UTC) + timedelta(seconds=_SECONDS)
    first = example.waive(soon.isoformat(timespec="seconds"))
    waived = example.run("--only", "package/gate")
    until(lambda: datetime.now(UTC) > soon + timedelta(seconds=1), "the waiver expires")
    expired = example.run("--only", "package/gate")
    second = example.waive("30d")
    deployed = example.run()
    ended = example.maestro("waivers", "revoke", second, "--reason", "a fixed version is out")
    assert ended.code == 0, ended.text
    return Story((first, second), waived, expired, deployed, example.run("--only", "package/gate", "deploy"))


def test_a_signed_waiver_lets_it_pass_and_stands_in_the_decision(story: Story) -> None:
    for example, waiver in zip((story.waived, story.deployed), story.waivers, strict=True):
        assert example.last["state"] == "succeeded", example.last
        (used,) = example.decision["waivers"]
        assert (used["id"], used["approver"], used["reason"]) == (waiver, "Ada", REASON)
        assert (used["finding"], used["object"]) == (FINDING, "app")
        assert datetime.fromisoformat(used["expires"]) > datetime.fromisoformat(example.decision["at"])
        assert example.step("package/gate")["summary"].endswith(", 1 waived")
    assert story.deployed.deployments == [story.deployed.revision]


def test_a_waiver_stops_counting_when_it_expires_and_when_it_is_revoked(story: Story) -> None:
    for example in (story.expired, story.revoked):
        assert example.step("package/gate")["state"] == "failed"
        assert (example.decision["allow"], example.decision["waivers"]) == (False, [])
        assert example.decision["changes"] == [f"update jinja2 to 2.10.1; or waive {FINDING}"]
    assert story.revoked.states()["deploy/deploy"] == "skipped"
    listed = {one["id"]: one["state"] for one in story.revoked.maestro("waivers", "list", "--json").json()["waivers"]}
    assert listed == dict(zip(story.waivers, ("expired", "revoked"), strict=True))


def test_the_audit_log_tells_all_of_it_in_order(story: Story) -> None:
    told = [
        (row["kind"], row["object"], row["data"].get("allow"))
        for row in story.revoked.audit()
        if row["kind"].startswith(("policy.", "waiver."))
    ]
    first, second = story.waivers
    assert told == [
        ("policy.decision", "supply_chain.release", False),
        ("waiver.added", first, None),
        ("policy.decision", "supply_chain.release", True),
        ("waiver.used", first, None),
        ("policy.decision", "supply_chain.release", False),
        ("waiver.added", second, None),
        ("policy.decision", "supply_chain.release", True),
        ("waiver.used", second, None),
        ("waiver.revoked", second, None),
        ("policy.decision", "supply_chain.release", False),
    ]
    added = story.revoked.audit("waiver.added")[0]
    assert (added["data"]["approver"], added["data"]["reason"]) == ("Ada", REASON)


def test_the_audit_log_is_as_it_was_written(story: Story) -> None:
    ended = story.revoked.maestro("audit", "verify")
    assert ended.code == 0, ended.text
    assert f"{len(story.revoked.audit())} entries of maestro/app are as they were written" in ended.out


def _edited(rows: sqlite3.Connection, index: int) -> None:
    rows.execute("UPDATE audit_entries SET data = replace(data, 'Ada', 'Eve') WHERE idx = ?", (index,))


def _dropped(rows: sqlite3.Connection, index: int) -> None:
    rows.execute("DELETE FROM audit_entries WHERE idx = ?", (index,))


def _reordered(rows: sqlite3.Connection, index: int) -> None:
    for old, new in ((index, -1), (index + 1, index), (-1, index + 1)):
        rows.execute("UPDATE audit_entries SET idx = ? WHERE idx = ?", (new, old))


@pytest.mark.parametrize("tampered", [_edited, _dropped, _reordered])
def test_a_row_that_was_changed_by_hand_is_named(
    story: Story, tmp_path: Path, tampered: Callable[[sqlite3.Connection, int], None]
) -> None:
    example = story.revoked.copy(tmp_path / "app")
    index = int(example.audit("waiver.added")[0]["index"])
    rows = sqlite3.connect(example.project.home / "audit.db")
    for (name,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        rows.execute(f'DROP TRIGGER "{name}"')
    with rows:
        tampered(rows, index)
    rows.close()
    ended = example.maestro("audit", "verify")
    assert ended.code == 1
    assert "Traceback" not in ended.text
    found: list[dict[str, Any]] = example.maestro("audit", "verify", "--json").json()["findings"]
    assert any(one["first"] == index for one in found), found
    assert str(index) in ended.out
