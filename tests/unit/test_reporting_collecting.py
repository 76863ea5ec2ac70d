"""From what is kept of a run to its report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maestro.artifacts import Artifact, ArtifactStore, StepRecord
from maestro.errors import InputError, Location, MaestroError
from maestro.notation.problems import Problem
from maestro.reporting.collecting import report_of
from maestro.reporting.components import compare_components
from maestro.reporting.model import Annotation, GateReason, GateReport, RunReport, TestFailure, TestsReport
from maestro.reporting.refused import invalid_report
from maestro.runs.tags import DEPLOYMENT_TAG, PULL_REQUEST_TAG
from maestro.runs.view import RunView, StepView
from maestro.server.projects import RegisteredProject
from maestro.workflow.problems import WorkflowErrors

SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
PROJECT = RegisteredProject("shop", "https://github.com/acme/shop.git", repository="acme/shop")


def record(step: str, kind: str = "shell", **changes: Any) -> StepRecord:
    made = StepRecord(
        project="shop",
        workflow="delivery",
        revision=SHA,
        step=step,
        kind=kind,
        kind_version="1",
        cache_key=None,
        passed=True,
        summary="",
        outputs=(),
        run_id="run-1",
        made_by_run="run-1",
        started=1000.0,
        seconds=2.0,
        cache="off",
    )
    return replace(made, **changes)


def view(*steps: StepView, state: Any = "failed", **changes: Any) -> RunView:
    made = RunView("run-1", "shop", "delivery", SHA, state, steps, created=999.0, started=1000.0, ended=1010.0)
    return replace(made, **changes)


def collected(*records: StepRecord, steps: tuple[StepView, ...] = (), **arguments: Any) -> RunReport:
    shown = steps or tuple(StepView(one.step, "passed" if one.passed else "failed") for one in records)
    return report_of(view(*shown), PROJECT, {}, records=records, **arguments)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path))


def test_a_report_says_what_run_it_is_about() -> None:
    made = report_of(
        view(state="cancelling"),
        PROJECT,
        {PULL_REQUEST_TAG: "5", DEPLOYMENT_TAG: "42"},
        url="https://maestro.example/",
    )
    assert (made.project, made.repository, made.provider, made.sha) == ("shop", "acme/shop", "github", SHA)
    assert (made.state, made.pull_request, made.deployment, made.created) == ("running", 5, 42, 999.0)
    assert made.url == "https://maestro.example/runs/run-1"


def test_a_tag_that_is_no_number_is_no_pull_request() -> None:
    assert report_of(view(), PROJECT, {PULL_REQUEST_TAG: "five"}).pull_request is None


def test_a_cached_step_says_which_run_made_it() -> None:
    (step,) = collected(
        record("build/wheel", made_by_run="run-0", cache="hit"), steps=(StepView("build/wheel", "cached"),)
    ).steps
    assert (step.cached, step.made_by_run) == (True, "run-0")


def test_tests_are_counted_from_what_their_step_recorded() -> None:
    made = collected(
        record(
            "test/unit",
            "test.unit",
            passed=False,
            metadata={
                "passed": 10,
                "failed": 1,
                "errors": 1,
                "skipped": 2,
                "seconds": 3.5,
                "failures": [
                    {"name": "test_a", "file": "tests/a.py", "line": 7, "message": "1 == 2", "type": "E"},
                    "x",
                ],
            },
        )
    )
    failure = TestFailure("test_a", "tests/a.py", 7, "1 == 2")
    assert made.tests == (TestsReport("test/unit", 10, 2, 2, 3.5, (failure,)),)
    assert made.annotations == (Annotation("tests/a.py", 7, "1 == 2", "test_a"),)


@pytest.mark.parametrize("metadata", [{}, {"passed": "many", "failed": 0, "errors": 0, "skipped": 0}])
def test_tests_that_were_not_counted_are_not_reported(metadata: dict[str, Any]) -> None:
    assert collected(record("test/unit", "test.unit", metadata=metadata)).tests == ()


def test_a_failure_outside_of_the_repository_is_no_annotation() -> None:
    failures = [{"name": "a", "file": "/usr/lib/x.py", "line": 3}, {"name": "b", "file": "", "line": 3}]
    counts = {"passed": 0, "failed": 2, "errors": 0, "skipped": 0, "failures": failures}
    assert collected(record("test/unit", "test.unit", metadata=counts)).annotations == ()


def test_a_gate_says_its_reasons_with_their_fixes() -> None:
    made = collected(
        record(
            "release/gate",
            "gate",
            passed=False,
            summary="denied",
            values={"decision": "abcd"},
            metadata={
                "policy": "supply_chain.release",
                "why": [{"rule": "sbom", "message": "no SBOM", "fix": "make one", "object": None}],
                "waivers": [{}],
            },
        )
    )
    assert made.gates == (
        GateReport(
            "release/gate", "supply_chain.release", False, (GateReason("sbom", "no SBOM", "make one"),), "abcd", 1, "denied"
        ),
    )  # fmt: skip


def test_the_end_of_the_log_of_the_step_that_failed_first_is_shown(store: ArtifactStore) -> None:
    log = store.put_bytes("".join(f"line {n}\n" for n in range(5_000)).encode(), name="log", media_type="text/plain")
    records = [record(one, passed=False, log=log) for one in ("test/unit", "lint/ruff")]
    first, second = collected(*records, store=store).steps
    assert first.log == tuple(f"line {n}" for n in range(4_980, 5_000))
    assert second.log == ()


def test_a_log_that_is_gone_is_not_shown(store: ArtifactStore) -> None:
    gone = Artifact("log", "0" * 64, 10, "text/plain", None)
    (step,) = collected(record("test/unit", passed=False, log=gone), store=store).steps
    assert step.log == ()


def test_a_run_without_records_is_reported_by_its_steps() -> None:
    made = report_of(view(StepView("test/unit", "failed", "exit code 1", 1, 1000.0, 1002.0)), PROJECT, {})
    (step,) = made.steps
    assert (step.summary, step.seconds) == ("exit code 1", 2.0)
    assert made.first_failure == step


def test_each_problem_of_a_workflow_file_is_at_its_line() -> None:
    errors = WorkflowErrors(
        [
            Problem(Location("/somewhere/maestro.yaml", 9, 3), "'runs' is no key", suggestion="run"),
            Problem(Location("/somewhere/maestro.yaml", 2, 1), "no project", allowed="a name"),
        ]
    )
    made = invalid_report(PROJECT, SHA, "run-1", errors, created=1.0, pull_request=5)
    assert (made.state, made.pull_request, made.final) == ("invalid", 5, True)
    assert [(one.path, one.line, one.column, one.message) for one in made.annotations] == [
        ("maestro.yaml", 2, 1, "no project\nallowed: a name"),
        ("maestro.yaml", 9, 3, "'runs' is no key\ndid you mean \"run\"?"),
    ]


def test_another_error_with_a_place_is_at_its_line_and_one_without_is_told_alone() -> None:
    placed = InputError("not YAML", where=Location("maestro.yaml", 4, 2))
    assert [one.line for one in invalid_report(PROJECT, SHA, "r", placed, created=1.0).annotations] == [4]
    plain = invalid_report(PROJECT, SHA, "r", InputError("there is no maestro.yaml"), created=1.0)
    assert (plain.annotations, plain.reason) == ((), "there is no maestro.yaml")


def bom(store: ArtifactStore, *components: tuple[str, str], step: str = "sbom/app") -> StepRecord:
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"component": {"type": "application", "name": "shop"}},
        "components": [
            {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
            for name, version in components
        ],
    }
    data = json.dumps(document).encode()
    output = store.put_bytes(data, name="sbom.cdx.json", media_type="application/vnd.cyclonedx+json")
    return record(step, "sbom.generate", outputs=(output,))


def scan(store: ArtifactStore, *findings: dict[str, Any]) -> StepRecord:
    data = json.dumps({"schema": 1, "state": "findings", "findings": findings}).encode()
    output = store.put_bytes(data, name="vulnerabilities.json", media_type="application/json")
    return record("scan/app", "scan.vulnerabilities", outputs=(output,))


def test_components_are_compared_with_the_earlier_revision(store: ArtifactStore) -> None:
    before = [bom(store, ("rich", "1.0"), ("httpx", "0.27"), ("left", "1"))]
    after = [bom(store, ("rich", "1.0"), ("httpx", "0.28"), ("new", "2"), ("newer", "3"))]
    (found,) = compare_components(store, before, after, "b" * 40)
    assert (found.subject, found.added, found.removed, found.changed) == ("shop", 2, 1, 1)
    assert (found.new, found.vulnerabilities) == (("new 2", "newer 3"), None)


def test_new_vulnerabilities_are_counted_when_both_sides_were_scanned(store: ArtifactStore) -> None:
    old = {"id": "CVE-1", "severity": "high", "package": "rich", "version": "1.0", "purl": "pkg:pypi/rich@1.0"}
    new = {**old, "id": "CVE-2", "severity": "critical"}
    before = [bom(store, ("rich", "1.0")), scan(store, old)]
    after = [bom(store, ("rich", "1.0")), scan(store, old, new)]
    (found,) = compare_components(store, before, after, "b" * 40)
    assert found.vulnerabilities == {"critical": 1}


def test_without_a_bill_of_materials_on_both_sides_nothing_is_compared(store: ArtifactStore) -> None:
    assert compare_components(store, [], [bom(store, ("rich", "1.0"))], "b") == ()
    assert compare_components(store, [record("a/b")], [bom(store, ("rich", "1.0"))], "b") == ()


def test_a_bill_of_materials_that_is_gone_is_told(store: ArtifactStore) -> None:
    made = bom(store, ("rich", "1.0"))
    store.delete(made.outputs[0].sha256)
    with pytest.raises(MaestroError):
        compare_components(store, [made], [made], "b")
