"""The kind ``gate``: what it asks, what it answers, and that it stays closed when it cannot ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets.gates import GATE
from maestro.artifacts import StepRecord, Subject
from maestro.errors import InputError
from maestro.evidence.config import PolicyConfig
from maestro.evidence.types import DECISION
from maestro.steps import StepResult
from tests.unit.evidence_harness import SOURCE, Desk, unit_report
from tests.unit.step_harness import Harness, harness

POLICY = "supply_chain.release"


class Gate:
    """A gate behind steps that have delivered."""

    def __init__(self, folder: Path, policy: PolicyConfig | None = None) -> None:
        (folder / "desk").mkdir()
        self.desk = Desk(folder / "desk", policy=policy or PolicyConfig())
        self.step: Harness = harness(folder)

    def run(self, *, required: tuple[str, ...] = (), **params: Any) -> StepResult:
        self.step.records = dict(self.desk.records)
        self.step.desk = self.desk.open()
        self.step.source = SOURCE
        self.step.required_evidence = required
        self.step.revision = SOURCE.digest["gitCommit"]
        return self.step.run(GATE, **{"policy": POLICY, **params})

    def left(self, result: StepResult, name: str) -> dict[str, Any]:
        artifact = next(one for one in result.artifacts if one.name == name)
        document: dict[str, Any] = json.loads(self.step.artifacts.get_bytes(artifact.sha256))
        return document


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def rules(result: StepResult) -> list[str]:
    return sorted({one["rule"] for one in result.metadata["why"]})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "policy"),
        ({"policy": "release"}, "should match pattern"),
        ({"policy": "../etc.passwd"}, "should match pattern"),
        ({"policy": POLICY, "subjects": []}, "at least 1 item"),
        ({"policy": POLICY, "freeze": [{"name": "x", "to": "2026-01-01T00:00:00Z"}]}, "from"),
        ({"policy": POLICY, "freeze": [{"name": "", "from": "a", "to": "b"}]}, "at least 1 character"),
        ({"policy": POLICY, "polizy": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_by_name(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GATE.params.model_validate(params)


def test_what_has_all_evidence_is_allowed_and_the_answer_is_a_statement_about_it(gate: Gate) -> None:
    built = gate.desk.built()
    gate.desk.step("test/unit", claims=[unit_report()])
    result = gate.run(required=("provenance", "test-report"))
    assert (result.passed, result.summary.split(" ")[0]) == (True, "allowed")
    (claim,) = result.claims
    assert (claim.type, claim.predicate_type, tuple(claim.subjects)) == ("decision", DECISION, tuple(built.subjects))
    assert claim.predicate is not None
    assert (claim.predicate["policy"], claim.predicate["allow"], claim.predicate["reasons"]) == (POLICY, True, [])
    assert claim.predicate["bundle_digest"].startswith("sha256:")
    assert claim.predicate["environment"] == "development"
    decision = gate.left(result, "decision.json")
    judged = {"package/wheel": [f"sha256:{built.subjects[0].digest['sha256']}"]}
    assert claim.predicate == {**decision, "environment": "development", "judged": judged}
    assert result.values == {"allow": True, "decision": decision["id"], "environment": "development"}


def test_the_input_is_kept_as_policy_saw_it(gate: Gate) -> None:
    built = gate.desk.built()
    result = gate.run(required=("provenance",), environment="staging", promote_from="development")
    asked = gate.left(result, "input.json")
    assert asked["environment"] == "staging"
    assert asked["promotion"] == {"from": "development", "to": "staging", "history": []}
    assert asked["required"] == ["provenance"]
    assert asked["subjects"][0]["digest"] == f"sha256:{built.subjects[0].digest['sha256']}"
    assert asked["subjects"][0]["evidence"]["provenance"]["state"] == "verified"
    assert asked["user"]["name"] == "ann"


@pytest.mark.parametrize(("given", "told"), [(None, "development"), ("production", "production")])
def test_the_environment_is_the_steps_or_the_profiles(gate: Gate, given: str | None, told: str) -> None:
    gate.desk.built()
    result = gate.run(environment=given)
    assert result.values["environment"] == told
    assert gate.left(result, "input.json")["environment"] == told


def test_missing_evidence_is_denied_with_the_reason_and_what_would_change_that(gate: Gate) -> None:
    gate.desk.built()
    result = gate.run(required=("provenance", "sbom"))
    assert not result.passed
    assert "evidence_missing" in rules(result)
    assert "dist/app-1.0.whl has no sbom evidence" in result.summary
    assert {"change": "add a step that makes sbom evidence of dist/app-1.0.whl before the gate"} in result.metadata[
        "to be allowed"
    ]
    assert "denied by evidence_missing: " in gate.step.log
    (claim,) = result.claims
    assert claim.predicate is not None
    assert claim.predicate["allow"] is False


def test_what_is_set_aside_is_denied(gate: Gate) -> None:
    built = gate.desk.built()
    gate.desk.desk.set_aside(built.subjects[0], "built on a stolen laptop", revision=None, step=None)
    result = gate.run()
    assert not result.passed
    assert "built on a stolen laptop" in gate.step.log


def test_only_the_steps_that_are_named_are_judged(gate: Gate) -> None:
    gate.desk.built()
    kept, other = gate.desk.wheel(b"other", name="dist/other.whl")
    gate.desk.step("package/other", outputs=[kept], subjects=[other])
    assert not gate.run(required=("provenance",)).passed
    for name in ("wheel", "package/wheel"):
        result = gate.run(required=("provenance",), subjects=[name])
        assert result.passed, result.summary
        assert [one["name"] for one in gate.left(result, "input.json")["subjects"]] == ["dist/app-1.0.whl"]


def test_a_step_that_delivered_nothing_is_named_with_those_that_did(gate: Gate) -> None:
    gate.desk.built()
    with pytest.raises(InputError, match="no step 'whel' before the gate has delivered anything") as raised:
        gate.run(subjects=["wheel", "whel"])
    assert raised.value.next_step == "choose among package/wheel, under 'subjects'"


def test_without_a_project_there_is_no_answer(gate: Gate) -> None:
    with pytest.raises(InputError, match="a gate needs the evidence of a project"):
        gate.step.run(GATE, policy=POLICY)


@pytest.mark.parametrize("policy", ["supply_chain.nonsense", "nowhere.release"])
def test_a_policy_that_is_not_there_denies(gate: Gate, policy: str) -> None:
    gate.desk.built()
    result = gate.run(policy=policy)
    assert not result.passed
    assert f"denied by {policy}: '{policy}' is undefined" in result.summary
    assert "denied: " in gate.step.log


def test_an_engine_that_does_not_answer_denies_and_says_so(tmp_path: Path) -> None:
    gate = Gate(tmp_path, PolicyConfig(opa="http://127.0.0.1:1", timeout=1.0))
    gate.desk.built()
    result = gate.run()
    assert not result.passed
    assert "http://127.0.0.1:1" in result.summary
    assert result.metadata["to be allowed"] != []
    (claim,) = result.claims
    assert claim.predicate is not None
    assert (claim.predicate["allow"], bool(claim.predicate["error"])) == (False, True)


def test_a_bundle_that_cannot_be_loaded_denies_and_says_so(tmp_path: Path) -> None:
    gate = Gate(tmp_path, PolicyConfig(bundle=str(tmp_path / "gone")))
    gate.desk.built()
    result = gate.run()
    assert not result.passed
    assert "gone" in result.summary


def test_every_answer_is_a_row_of_the_audit_log(gate: Gate) -> None:
    gate.desk.built()
    denied = gate.run(required=("sbom",))
    rows = [row for row in gate.desk.desk.audit.entries() if row.kind == "policy.decision"]
    assert [(row.object, row.data["allow"], row.data["decision"]) for row in rows] == [
        (POLICY, False, denied.values["decision"])
    ]


def test_a_gate_is_asked_each_time() -> None:
    assert not GATE.cached(GATE.params(policy=POLICY))
    assert GATE.check == "allowed"


def test_nothing_delivered_is_judged_by_policy_and_not_by_the_kind(gate: Gate) -> None:
    gate.desk.step("test/unit", claims=[unit_report()])
    result = gate.run()
    assert gate.left(result, "input.json")["subjects"] == []
    assert not result.passed


def test_a_record_without_evidence_is_judged_as_missing(gate: Gate) -> None:
    record: StepRecord = gate.desk.step(
        "package/bare", subjects=[Subject("app", {"sha256": "c" * 64}, uri="docker://r.example/app@sha256:" + "c" * 64)]
    )
    result = gate.run(required=("provenance",))
    assert record.evidence == ()
    assert "evidence_missing" in rules(result)
