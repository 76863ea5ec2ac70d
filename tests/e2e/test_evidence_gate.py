"""A deliberately vulnerable example at its gate: stopped with reasons, and released once it is repaired."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.example import FINDING, Example

OBJECT = f"app: {FINDING} in jinja2 2.10"
FIX = f"update jinja2 to 2.10.1; or waive {FINDING}"


@pytest.fixture
def stopped(delivered_example: Example, tmp_path: Path) -> Example:
    return delivered_example.copy(tmp_path / "app")


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


def test_a_waiver_for_another_finding_lets_nothing_pass(stopped: Example) -> None:
    stopped.waive("30d", finding="CVE-2024-22195")
    again = stopped.run("--only", "package/gate")
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
    (image,) = ended.json()["subjects"]
    (changed,) = image["changed"]
    assert (changed["before"]["purl"], changed["after"]["purl"]) == ("pkg:pypi/jinja2@2.10", "pkg:pypi/jinja2@3.1.6")
    assert (image["added"], image["removed"], image["vulnerabilities"]["new"]) == ([], [], [])
    assert FINDING in {one["id"] for one in image["vulnerabilities"]["gone"]}
    shown = repaired_example.maestro("evidence", "diff", before, after).out
    for line in (rf"{FINDING} +high +jinja2 +2.10 +2.10.1", r"jinja2 +2.10 +3.1.6 +up", "0 new, 2 gone, 0 still there"):
        assert re.search(line, shown), shown
