"""Which controls evidence covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro.artifacts import Claim
from maestro.errors import InputError
from maestro.evidence.controls import ControlStatus, control_report, load_controls
from maestro.evidence.overview import overview
from maestro.evidence.types import DECISION
from tests.unit.evidence_harness import REVISION, Desk, unit_report

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def row(type_: str, **more: Any) -> dict[str, Any]:
    return {
        "type": type_,
        "subject": "sha256:a",
        "name": "app",
        "step": "s/t",
        "state": "verified",
        "reason": None,
        "against": None,
        "signed_at": NOW.isoformat(),
        **more,
    }


def status(control: str, *rows: dict[str, Any], now: datetime = NOW) -> ControlStatus:
    [found] = [one for one in control_report(load_controls(), rows, now) if one.control.id == control]
    return found


def test_a_control_is_covered_when_everything_it_needs_verifies() -> None:
    assert status("A.5.21", row("sbom"), row("provenance")).state == "covered"


def test_one_type_that_is_not_there_leaves_a_control_missing_and_is_named() -> None:
    found = status("A.5.21", row("sbom"))
    assert (found.state, found.because) == ("missing", ("provenance: there is none",))


def test_one_artifact_without_it_is_enough_and_is_named() -> None:
    found = status("A.5.32", row("licenses"), row("licenses", state="missing", name="dist/other.whl"))
    assert (found.state, found.because) == ("missing", ("licenses: none of dist/other.whl",))


def test_the_oldest_statement_decides_whether_it_is_stale() -> None:
    old = row("licenses", signed_at=(NOW - timedelta(days=91)).isoformat())
    found = status("A.5.32", row("licenses"), old)
    assert (found.state, found.because) == ("stale", ("licenses: 91 days old, at most 90",))


@pytest.mark.parametrize("state", ["rejected", "quarantined"])
def test_what_does_not_verify_or_is_set_aside_rejects_the_control_with_its_reason(state: str) -> None:
    found = status("A.5.32", row("licenses"), row("licenses", state=state, reason="somebody changed it"))
    assert (found.state, found.because) == ("rejected", ("licenses: somebody changed it",))


def test_what_speaks_against_the_revision_covers_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    built = desk.built()
    desk.step("test/unit", claims=[unit_report(failed=["test_b"])])
    desk.step("test/other", claims=[unit_report()])
    desk.step("release/gate", claims=[Claim("decision", DECISION, built.subjects, {"allow": False})])
    report = control_report(load_controls(), overview(desk.open(), REVISION, ()), datetime.now(UTC), ["soc2"])
    [found] = [one for one in report if one.control.id == "CC8.1"]
    assert found.state == "rejected"
    assert found.because == (
        "test-report: tests failed (step 'test/unit')",
        "decision: the gate has denied (step 'release/gate')",
    )


def test_a_missing_type_the_contract_requires_has_a_row_for_everything_delivered(tmp_path: Path) -> None:
    from maestro.artifacts import RecordStore

    desk = Desk(tmp_path)
    RecordStore(desk.store).save(desk.built())
    rows = overview(desk.open(), REVISION, ("sbom", "provenance", "secrets"))
    assert {(one["type"], one["state"], one["name"]) for one in rows} == {
        ("sbom", "missing", "dist/app-1.0.whl"),
        ("provenance", "verified", "dist/app-1.0.whl"),
        ("secrets", "missing", "shop"),
    }


def test_every_control_of_the_table_that_is_shipped_can_be_covered() -> None:
    types = ("sbom", "vulnerabilities", "licenses", "provenance", "decision", "test-report", "secrets")
    report = control_report(load_controls(), [row(one) for one in types], NOW)
    assert {one.state for one in report} == {"covered"}
    assert {one.framework for one in report} == {"soc2", "iso27001"}


def test_a_framework_nobody_knows_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="there is no framework 'nist'") as error:
        control_report(load_controls(), [], NOW, ["nist"])
    assert error.value.next_step == "choose among iso27001, soc2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frameworks: [", "it cannot be read"),
        ("[]", "Input should be a valid dictionary"),
        (
            "frameworks: {a: {title: A, controls: [{id: A1, title: T, needs: [], max_age_days: 1}]}}",
            r"controls.0.needs",
        ),
        ("frameworks: {a: {title: A, controls: [{id: A1, title: T, needs: [sbom], max_age_days: 0}]}}", "max_age_days"),
        ("frameworks: {a: {title: A, controls: []}}\nmore: 1", "more: Extra inputs"),
        ("a: &x [1]\nb: *x", "frameworks: Field required"),
    ],
)
def test_a_table_that_is_none_says_where(tmp_path: Path, text: str, said: str) -> None:
    table = tmp_path / "controls.yaml"
    table.write_text(text)
    with pytest.raises(InputError, match=said):
        load_controls(table)


def test_a_table_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it cannot be read"):
        load_controls(tmp_path / "none.yaml")
