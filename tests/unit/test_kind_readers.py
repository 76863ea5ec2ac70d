"""Reading what go, cargo and jest report; the recorded output is that of the real tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assets.cargo_test import read_cargo
from assets.go_test import read_go
from assets.jest import read_jest
from assets.junit import MalformedReportError

RECORDED = Path(__file__).parent / "recorded"
MODULE = "example.com/got"


def test_go_events_become_cases_with_file_and_line() -> None:
    report, shown = read_go((RECORDED / "go_test.jsonl").read_text().splitlines(keepends=True), MODULE)
    assert [(c.name, c.status, c.file, c.line, c.message) for c in report.cases] == [
        ("TestAdds", "passed", "", 0, ""),
        ("TestFails/small", "failed", "a_test.go", 13, "1+1 = 2, want 3"),
        ("TestLater", "skipped", "a_test.go", 17, "not yet"),
        ("TestPanics", "failed", "", 0, "panic: boom [recovered, repanicked]"),
        ("example.com/got/bad", "error", "bad/a_test.go", 5, "undefined: undefined"),
    ]
    assert "--- FAIL: TestFails (0.00s)\n" in shown


def test_the_place_of_a_go_panic_is_found_in_its_trace(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a_test.go").write_text("")
    recorded = (RECORDED / "go_test.jsonl").read_text().replace("/project", str(tmp_path))
    report, _ = read_go(recorded.splitlines(), MODULE)
    panics = next(case for case in report.failures(tmp_path, tmp_path) if case.name == "TestPanics")
    assert (panics.file, panics.line) == ("sub/a_test.go", 5)


def test_a_go_test_that_never_ended_is_an_error() -> None:
    report, _ = read_go(['{"Action":"run","Package":"p","Test":"TestHangs"}'], "p")
    assert [(c.name, c.status, c.message) for c in report.cases] == [("TestHangs", "error", "the test did not finish")]


def test_a_go_parent_that_fails_by_itself_is_kept() -> None:
    events = [
        {"Action": "pass", "Package": "p", "Test": "TestA/x"},
        {"Action": "fail", "Package": "p", "Test": "TestA"},
        {"Action": "fail", "Package": "p"},
    ]
    report, _ = read_go(map(json.dumps, events), "p")
    assert {case.name: case.status for case in report.cases} == {"TestA/x": "passed", "TestA": "failed"}


def test_lines_of_go_that_are_no_events_are_shown_and_packages_without_tests_are_none() -> None:
    lines = ["go: downloading x\n", '{"Action":"skip","Package":"p"}\n', "[1]\n"]
    report, shown = read_go(lines, "p")
    assert report.cases == ()
    assert shown == "go: downloading x\n[1]\n"


def test_cargos_output_becomes_cases_with_file_and_line() -> None:
    report = read_cargo((RECORDED / "cargo_test.txt").read_text())
    assert [(c.name, c.status, c.file, c.line, c.message) for c in report.cases] == [
        ("tests::adds", "passed", "", 0, ""),
        ("tests::later", "skipped", "", 0, "slow"),
        ("tests::returns_err", "failed", "", 0, 'Error: "nope"'),
        ("tests::fails", "failed", "src/lib.rs", 13, "assertion `left == right` failed: sum"),
        ("tests::should", "passed", "", 0, ""),
        ("whole", "passed", "", 0, ""),
        ("src/lib.rs - add (line 2)", "passed", "", 0, ""),
    ]
    assert report.seconds == pytest.approx(0.19)
    assert report.slowest == []


def test_a_failure_of_cargo_whose_line_is_torn_is_still_counted() -> None:
    text = "test a ... noise\nFAILED\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; finished in 0.00s\n"
    assert [(case.name, case.status) for case in read_cargo(text).cases] == [("unnamed test 1", "failed")]


def test_a_rust_binary_that_died_is_an_error() -> None:
    report = read_cargo("running 2 tests\ntest a ... ok\n")
    assert (report.passed, report.errors) == (1, 1)
    assert report.cases[1].message == "the test binary ended before all its tests did"


def test_the_panic_of_older_rust_is_read() -> None:
    text = """test a ... FAILED
---- a stdout ----
thread 'a' panicked at 'no good', src/lib.rs:3:5
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
    [case] = read_cargo(text).cases
    assert (case.file, case.line, case.message) == ("src/lib.rs", 3, "no good")


def test_jests_result_becomes_cases_with_file_and_line(tmp_path: Path) -> None:
    for name in ("sum.test.js", "broken.test.js"):
        (tmp_path / name).write_text("")
    file = tmp_path / "jest.json"
    file.write_text((RECORDED / "jest.json").read_text().replace("/project", str(tmp_path)))
    report = read_jest(file)
    assert [(c.name, c.status) for c in report.cases] == [
        ("sum adds", "passed"),
        ("sum fails", "failed"),
        ("sum later", "skipped"),
        ("broken.test.js", "error"),
    ]
    assert [(c.file, c.line, c.message) for c in report.failures(tmp_path, tmp_path)] == [
        ("sum.test.js", 4, "Error: expect(received).toBe(expected) // Object.is equality"),
        ("broken.test.js", 1, "boom"),
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"testResults": [1]}', '{"testResults": [{"name": "a"}]}'])
def test_what_jest_does_not_write_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "jest.json").write_text(text)
    with pytest.raises(MalformedReportError, match=r"jest\.json: the file is not what jest --json writes"):
        read_jest(tmp_path / "jest.json")
