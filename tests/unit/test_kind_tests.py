"""Step kinds ``test.unit``, ``test.integration`` and ``test.e2e``: real pytest runs, commands, and what goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets.junit import read_reports
from assets.tests import TEST_E2E, TEST_INTEGRATION, TEST_UNIT
from maestro.errors import InputError
from maestro.steps import StepResult
from tests.unit.step_harness import Harness, harness

GOOD = "def test_good(): pass\n"
BAD = "def helper():\n    raise ValueError('deep')\n\ndef test_bad():\n    helper()\n"
REPORT = "<testsuite><testcase name='a'/>{}</testsuite>"
FAILING = REPORT.format("<testcase name='b'><failure message='no'/></testcase>")


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path)


def unit(step: Harness, **params: Any) -> StepResult:
    if "command" not in params:
        # No settings of the machine's own pytest plug-ins, and no bytecode left behind.
        params = {"python": sys.executable, "arguments": ["-p", "no:cacheprovider"], **params}
    return step.run(TEST_UNIT, **params)


def test_passing_tests_pass_and_leave_their_report(step: Harness) -> None:
    result = unit(step.write({"tests/test_a.py": GOOD}))
    assert (result.passed, result.summary, result.exit_code) == (True, "1 passed", 0)
    assert result.metadata["tests"] == 1
    [output] = result.outputs
    assert (output.name, output.path, output.media_type) == ("report", "reports/test-unit.xml", "application/xml")
    assert read_reports([step.workspace / output.path]).passed == 1
    assert (step.workspace / "reports/.gitignore").read_text() == "*\n"


def test_a_failing_test_fails_the_step_with_file_line_and_message(step: Harness) -> None:
    result = unit(step.write({"tests/test_a.py": GOOD + BAD}))
    assert (result.passed, result.summary, result.exit_code) == (False, "1 passed, 1 failed", 1)
    assert result.metadata["failures"] == [
        {"name": "test_bad", "file": "tests/test_a.py", "line": 3, "message": "ValueError: deep", "type": "ValueError"}
    ]
    assert result.outputs


def test_a_file_that_cannot_be_collected_is_an_error_with_its_line(step: Harness) -> None:
    result = unit(step.write({"tests/test_a.py": "\nimport no_such_module_at_all\n"}))
    assert (result.passed, result.summary) == (False, "1 error")
    [failure] = result.metadata["failures"]
    assert (failure["file"], failure["line"]) == ("tests/test_a.py", 2)


def test_no_tests_is_a_failure(step: Harness) -> None:
    result = unit(step.write({"tests/test_a.py": ""}))
    assert (result.passed, result.summary) == (False, "no tests ran (exit code 5)")


def test_only_skipped_tests_is_a_failure(step: Harness) -> None:
    skipped = "import pytest\n@pytest.mark.skip\ndef test_a(): pass\n"
    result = unit(step.write({"tests/test_a.py": skipped}))
    assert (result.passed, result.summary) == (False, "no tests ran: all 1 were skipped")


def test_wrong_arguments_are_a_failure_without_a_report(step: Harness) -> None:
    result = unit(step.write({"tests/test_a.py": GOOD}), arguments=["--no-such-option"])
    assert (result.passed, result.summary) == (False, "no tests ran: no report was written (exit code 4)")


def test_tests_that_pass_with_a_failing_exit_code_fail_the_step(step: Harness) -> None:
    step.write({"tests/test_a.py": GOOD, "conftest.py": "def pytest_sessionfinish(session): session.exitstatus = 9\n"})
    result = unit(step)
    assert (result.passed, result.summary) == (False, "1 passed, but exit code 9")


def test_the_levels_run_their_own_folders(step: Harness) -> None:
    step.write({"tests/test_a.py": GOOD, "tests/integration/test_b.py": GOOD, "e2e/test_c.py": GOOD})
    step.write({"pytest.ini": "[pytest]\n"})
    for kind, name in ((TEST_UNIT, "test_a"), (TEST_INTEGRATION, "test_b"), (TEST_E2E, "test_c")):
        result = step.run(kind, python=sys.executable, arguments=["-p", "no:cacheprovider"])
        assert result.passed, step.log
        [case] = read_reports([step.workspace / result.outputs[0].path]).cases
        assert case.suite.endswith(name)


def test_the_report_is_named_by_the_step_or_as_it_says(step: Harness) -> None:
    step.write({"tests/test_a.py": GOOD})
    step.env["MAESTRO_STEP"] = "test/unit/py3.11"
    assert unit(step).outputs[0].path == "reports/test/unit/py3.11.xml"
    step.env["MAESTRO_STEP"] = "test/unit/../a b"
    path = unit(step).outputs[0].path
    assert path.startswith("reports/test/unit/-/a-b-")
    assert unit(step, report="out/junit.xml").outputs[0].path == "out/junit.xml"


def test_only_the_paths_given_are_run_in_the_directory_given(step: Harness) -> None:
    step.write({"app/tests/test_a.py": GOOD, "app/tests/test_b.py": BAD})
    result = unit(step, directory="app", paths=["tests/test_a.py"])
    assert result.summary == "1 passed"
    failing = unit(step, directory="app", paths=["tests/test_b.py"])
    assert failing.metadata["failures"][0]["file"] == "app/tests/test_b.py"


def test_a_python_without_pytest_is_an_input_error_that_says_how_to_get_it(step: Harness) -> None:
    fake = step.workspace / "python"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    step.write({"tests/test_a.py": GOOD, "pytest.py": ""})
    with pytest.raises(InputError) as caught:
        unit(step, python="./python")
    assert caught.value.what == f"no Python interpreter has 'pytest'; tried: {fake}"
    assert caught.value.next_step is not None
    assert f"{fake} -m pip install pytest" in caught.value.next_step


def test_a_command_decides_by_its_exit_code_when_it_names_no_report(step: Harness) -> None:
    passed = unit(step, command="true")
    assert (passed.passed, passed.summary) == (True, "exit code 0; there is no report, so the tests are not counted")
    assert not unit(step, command="false | true").passed
    assert passed.outputs == ()


def test_the_report_of_a_command_is_read_and_kept_where_it_is(step: Harness) -> None:
    step.write({"in.xml": REPORT.format("")})
    result = unit(step, command="mkdir out && cp in.xml out/junit.xml", report="out/*.xml")
    assert (result.passed, result.summary, result.outputs[0].path) == (True, "1 passed", "out/junit.xml")


def test_several_reports_of_a_command_are_merged(step: Harness) -> None:
    step.write({"in.xml": REPORT.format("")})
    result = unit(step, command="mkdir out; cp in.xml out/1.xml; cp in.xml out/2.xml", report="out/*.xml")
    assert (result.summary, result.outputs[0].path) == ("2 passed", "reports/test-unit.xml")
    assert len(read_reports([step.workspace / "reports/test-unit.xml"]).cases) == 2


def test_a_report_that_lay_there_before_is_not_taken_for_this_runs(step: Harness) -> None:
    step.write({"out/old.xml": REPORT.format("")})
    result = unit(step, command="true", report="out/*.xml")
    summary = "no tests ran: no report that matches 'out/*.xml' was written (exit code 0)"
    assert (result.passed, result.summary) == (False, summary)
    step.write({"in.xml": FAILING})
    again = unit(step, command="cp in.xml out/new.xml; exit 1", report="out/*.xml")
    assert again.summary == "1 passed, 1 failed"


def test_a_report_with_failures_fails_the_step_whatever_the_exit_code(step: Harness) -> None:
    result = unit(step.write({"in.xml": FAILING}), command="cp in.xml out.xml", report="out.xml")
    assert (result.passed, result.summary) == (False, "1 passed, 1 failed, though the exit code is 0")


def test_a_malformed_report_fails_the_step_and_says_where(step: Harness) -> None:
    result = unit(step, command="echo '<testsuite>' > out.xml", report="out.xml")
    assert not result.passed
    assert result.summary == "out.xml:2:1: the test report is no well-formed XML: no element found"


def test_a_report_outside_the_workspace_is_refused(step: Harness) -> None:
    with pytest.raises(InputError, match=r"'report' is '\.\./x\.xml', which may lie outside the workspace"):
        unit(step, command="true", report="../x.xml")


def test_parameters_a_command_would_ignore_are_refused() -> None:
    for other in ({"paths": ["a"]}, {"arguments": ["-x"]}, {"python": "python3"}, {"framework": "go"}):
        with pytest.raises(ValidationError, match=f"'command' is given, so '{next(iter(other))}' would do nothing"):
            TEST_UNIT.params.model_validate({"command": "make test", **other})


def test_they_say_what_they_would_do_and_need(step: Harness) -> None:
    describe = TEST_E2E.describe
    assert describe(TEST_E2E.params(command="make e2e")) == "Runs the end-to-end tests with `make e2e`."
    assert describe(TEST_E2E.params()) == "Runs the end-to-end tests with the framework it finds."
    by_go = TEST_E2E.params(framework="go", directory="api")
    assert describe(by_go) == "Runs the end-to-end tests with go in api."
    assert step.requires(TEST_UNIT, command="x") == ["bash"]
    assert step.write({"tests/test_a.py": GOOD}).requires(TEST_UNIT, python="python3.12") == ["python3.12"]
    assert {TEST_UNIT.check, TEST_INTEGRATION.check, TEST_E2E.check} == {"tests_pass"}
