"""A deliberately vulnerable example at its gate: stopped with reasons, waived for a time, repaired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.cli_process import until
from tests.e2e.example import ALIAS, FINDING, Example

OBJECT = f"app: {FINDING} in jinja2 2.10"
FIX = f"update jinja2 to 2.10.1; or waive {FINDING}"


@pytest.fixture
def stopped(delivered_example: Example, tmp_path: Path) -> Example:
    return delivered_example.copy(tmp_path / "app")


def waive(example: Example, expires: str = "30d", finding: str = ALIAS) -> str:
    """Waives the finding; the waiver's id."""
    ended = example.maestro(
        "waivers", "add", finding, "--expires", expires, "--reason", "no template of strangers", "--approver", "Ada"
    )
    assert ended.code == 0, ended.text
    return ended.out.partition(":")[0]


def test_the_vulnerable_example_is_stopped_at_the_gate_and_nothing_is_deployed(stopped: Example) -> None:
    assert stopped.ended is not None
    assert stopped.ended.code == 1
    states = stopped.states()
    assert (states["package/scan"], states["package/gate"], states["deploy/deploy"]) == ("passed", "failed", "skipped")
    assert stopped.deployments == []


def test_people_read_what_stopped_it_and_what_would_let_it_pass(stopped: Example) -> None:
    ended = stopped.maestro("run")
    assert ended.code == 1
    assert f"denied by supply_chain.release: app has {FINDING} (high) in jinja2 2.10, known for" in ended.out
    assert f"to change that: {FIX}" in ended.out
    assert "Traceback" not in ended.text


def test_the_decision_names_object_what_is_what_may_be_and_what_to_change(stopped: Example) -> None:
    decision = stopped.decision
    (reason,) = decision["reasons"]
    assert decision["allow"] is False
    assert (reason["rule"], reason["object"]) == ("vulnerability", OBJECT)
    assert reason["actual"].startswith("high, known for ")
    assert reason["allowed"] == "medium, or high for 7 days"
    assert reason["fix"] == FIX
    assert decision["changes"] == [FIX]
    explained = stopped.maestro("policy", "explain", decision["id"])
    assert explained.code == 0
    assert explained.out.startswith("supply_chain.release: denied")
    for text in (OBJECT, "medium, or high for 7 days", f"- {FIX}", decision["bundle_digest"], decision["input_digest"]):
        assert text in explained.out


def test_a_signed_waiver_lets_it_pass_and_stands_in_the_decision(stopped: Example) -> None:
    id_ = waive(stopped)
    waived = stopped.run()
    assert waived.last["state"] == "succeeded", waived.last
    assert waived.deployments == [waived.revision]
    (used,) = waived.decision["waivers"]
    assert (used["id"], used["approver"], used["reason"]) == (id_, "Ada", "no template of strangers")
    assert (used["finding"], used["object"]) == (FINDING, "app")
    assert datetime.fromisoformat(used["expires"]) > datetime.now(UTC) + timedelta(days=29)
    assert "waived" in waived.step("package/gate")["summary"]


def test_a_waiver_stops_counting_when_it_expires(stopped: Example) -> None:
    until_ = datetime.now(UTC) + timedelta(seconds=10)
    id_ = waive(stopped, until_.isoformat(timespec="seconds"))
    assert stopped.run("package").step("package/gate")["state"] == "passed"
    until(lambda: "expired" in stopped.maestro("waivers", "list").out, f"waiver {id_} expires")
    again = stopped.run("package")
    assert again.step("package/gate")["state"] == "failed"
    assert again.decision["waivers"] == []
    assert again.decision["changes"] == [FIX]


def test_a_revoked_waiver_stops_counting(stopped: Example) -> None:
    id_ = waive(stopped)
    revoked = stopped.maestro("waivers", "revoke", id_, "--reason", "a fixed version is out")
    assert revoked.code == 0, revoked.text
    again = stopped.run()
    assert (again.step("package/gate")["state"], again.decision["waivers"]) == ("failed", [])
    assert again.deployments == []


def test_a_waiver_for_another_finding_lets_nothing_pass(stopped: Example) -> None:
    waive(stopped, finding="CVE-2024-22195")
    again = stopped.run("package/gate")
    assert (again.step("package/gate")["state"], again.decision["changes"]) == ("failed", [FIX])


def test_once_repaired_it_passes_without_a_waiver(repaired_example: Example) -> None:
    assert repaired_example.last["state"] == "succeeded", repaired_example.last
    assert repaired_example.decision["allow"] is True
    assert repaired_example.decision["waivers"] == []
    assert repaired_example.deployments == [repaired_example.revision]


def test_the_diff_of_both_revisions_shows_what_was_updated_and_what_that_repaired(
    delivered_example: Example, repaired_example: Example
) -> None:
    before, after = delivered_example.revision, repaired_example.revision
    ended = repaired_example.maestro("evidence", "diff", before, after, "--json")
    assert ended.code == 0, ended.text
    print(ended.out)
    shown = repaired_example.maestro("evidence", "diff", before, after)
    print(shown.out)
    assert 0
