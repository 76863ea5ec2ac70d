"""What building, keeping and testing steps say for evidence: subjects with digests, and a test result."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from assets.artifacts import ARTIFACT_PUT
from assets.python_packages import BUILD_PYTHON
from assets.report import Case, TestReport
from assets.test_evidence import NAMES, result_claim
from assets.tests import TEST_UNIT
from assets.typescript import BUILD_TYPESCRIPT
from maestro.artifacts import Subject
from tests.unit.step_harness import Harness, harness

GOOD = "<testsuite><testcase classname='a' name='one'/><testcase name='two'/><testcase name='x'><skipped/></testcase>"
BAD = "<testcase name='three'><failure message='no'/></testcase>"


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path)


def sha256(step: Harness, path: str) -> dict[str, str]:
    return {"sha256": hashlib.sha256((step.workspace / path).read_bytes()).hexdigest()}


def test_kept_files_are_subjects_only_when_they_are_delivered(step: Harness) -> None:
    step.write({"out/a.json": "{}", "out/b.json": "[]"})
    assert step.run(ARTIFACT_PUT, path="out").subjects == ()
    assert step.run(ARTIFACT_PUT, path="out", name="reports", deliver=True).subjects == (
        Subject("out/a.json", sha256(step, "out/a.json"), output="reports/out/a.json"),
        Subject("out/b.json", sha256(step, "out/b.json"), output="reports/out/b.json"),
    )
    assert ARTIFACT_PUT.describe(ARTIFACT_PUT.params(path="out", deliver=True)) == "Delivers 'out' as artifacts."


def test_a_wheel_is_a_subject_named_by_its_path(step: Harness) -> None:
    wheel = (
        "import zipfile, pathlib\nn = 'a-1-py3-none-any.whl'\n"
        "def build_wheel(folder, *_more):\n"
        "    with zipfile.ZipFile(pathlib.Path(folder, n), 'w') as z:\n"
        "        z.writestr('a-1.dist-info/METADATA', 'Name: a\\nVersion: 1\\n')\n"
        "    return n\n"
    )
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    step.write({"pyproject.toml": project, "backend.py": wheel})
    result = step.run(BUILD_PYTHON, python=sys.executable, isolation=False, sdist=False)
    path = "dist/a-1-py3-none-any.whl"
    assert list(result.subjects) == [Subject(path, sha256(step, path), media_type="application/zip", output="wheel")]


def test_the_files_a_node_build_leaves_are_subjects(step: Harness) -> None:
    step.write({"package.json": '{"name": "a", "version": "1", "scripts": {"build": "true"}}', "dist/a.js": "1"})
    assert list(step.run(BUILD_TYPESCRIPT).subjects) == [
        Subject("dist/a.js", sha256(step, "dist/a.js"), output="dist/a.js")
    ]


def report(step: Harness, text: str, exit_code: int) -> Harness:
    return step.write({"tests.sh": f"cat > junit.xml <<'E'\n{text}</testsuite>\nE\nexit {exit_code}\n"})


def test_a_test_step_claims_which_tests_passed_about_the_source(step: Harness) -> None:
    result = report(step, GOOD, 0).run(TEST_UNIT, command="sh tests.sh", report="junit.xml")
    [claim] = result.claims
    assert (claim.type, claim.predicate_type, claim.subjects) == (
        "test-report",
        "https://in-toto.io/attestation/test-result/v0.1",
        (),
    )
    assert claim.predicate is not None
    assert [one["name"] for one in claim.predicate["configuration"]] == ["test.unit"]
    assert {name: claim.predicate[name] for name in ("result", "passedTests", "failedTests", "counts")} == {
        "result": "PASSED",
        "passedTests": ["a::one", "two"],
        "failedTests": [],
        "counts": {"passed": 2, "failed": 0, "skipped": 1},
    }


def test_a_failing_test_or_run_is_claimed_as_failed(step: Harness) -> None:
    [failed] = report(step, GOOD + BAD, 1).run(TEST_UNIT, command="sh tests.sh", report="junit.xml").claims
    assert failed.predicate is not None
    assert (failed.predicate["result"], failed.predicate["failedTests"]) == ("FAILED", ["three"])
    for text, code in ((GOOD, 3), ("<testsuite>", 0), ("<html>", 0)):
        [claim] = report(step, text, code).run(TEST_UNIT, command="sh tests.sh", report="junit.xml").claims
        assert claim.predicate is not None
        assert claim.predicate["result"] == "FAILED", text


def test_tests_that_are_not_counted_are_claimed_by_their_exit_code_alone(step: Harness) -> None:
    [claim] = step.run(TEST_UNIT, command="true").claims
    assert claim.predicate is not None
    assert (claim.predicate["result"], "passedTests" in claim.predicate) == ("PASSED", False)


def test_names_are_cut_and_counts_are_not() -> None:
    cases = tuple(Case(f"{number:06}" + "x" * 500) for number in range(NAMES + 5))
    predicate = result_claim("test.unit", TEST_UNIT.params(), True, TestReport(cases)).predicate
    assert predicate is not None
    assert len(predicate["passedTests"]) == NAMES
    assert {len(name) for name in predicate["passedTests"]} == {300}
    assert predicate["counts"]["passed"] == NAMES + 5


def test_another_configuration_has_another_digest() -> None:
    digests = {
        str((result_claim("test.unit", TEST_UNIT.params(paths=paths), True, None).predicate or {})["configuration"])
        for paths in ([], ["tests/a"])
    }
    assert len(digests) == 2
