"""Reading and writing JUnit XML."""

from __future__ import annotations

from pathlib import Path

import pytest

import assets.junit
from assets.junit import MalformedReportError, read_reports, write_report
from assets.report import Case, TestReport

RECORDED = Path(__file__).parent / "recorded"


def read(tmp_path: Path, text: str | bytes) -> TestReport:
    file = tmp_path / "report.xml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_reports([file])


def test_pytests_report_gives_counts_and_the_line_where_each_test_failed(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("")
    report = read_reports([RECORDED / "pytest.xml"])
    assert (len(report.cases), report.passed, report.failed, report.errors, report.skipped) == (7, 2, 3, 1, 1)
    assert report.summary() == "2 passed, 3 failed, 1 error, 1 skipped"
    failures = report.failures(tmp_path, tmp_path)
    found = {case.name: (case.file, case.line, case.message, case.type) for case in failures}
    assert found == {
        "test_fail": ("test_a.py", 7, "assert 1 == 2", "AssertionError"),
        "test_deep": ("test_a.py", 2, "ValueError: deep", "ValueError"),
        "test_err": ("test_a.py", 10, 'failed on setup with "RuntimeError: setup"', "RuntimeError"),
        "test_m[2]": ("test_a.py", 16, "assert 2 == 1", "AssertionError"),
    }


def test_vitests_report_gives_the_line_from_the_trace(tmp_path: Path) -> None:
    (tmp_path / "web/src").mkdir(parents=True)
    (tmp_path / "web/src/sum.test.js").write_text("")
    report = read_reports([RECORDED / "vitest.xml"])
    [failure] = report.failures(tmp_path, tmp_path / "web")
    assert (failure.name, failure.file, failure.line) == ("sum > fails", "web/src/sum.test.js", 5)
    assert (failure.message, failure.type) == ("expected 2 to be 3 // Object.is equality", "AssertionError")


def test_files_are_merged(tmp_path: Path) -> None:
    assert len(read_reports([RECORDED / "pytest.xml", RECORDED / "vitest.xml"]).cases) == 10


def test_the_line_a_writer_states_is_taken_as_it_is_unless_it_is_pytests(tmp_path: Path) -> None:
    case = '<testcase name="a" file="a.php" line="7"><failure/></testcase>'
    assert read(tmp_path, f'<testsuite name="php">{case}</testsuite>').cases[0].line == 7
    assert read(tmp_path, f'<testsuite name="pytest">{case}</testsuite>').cases[0].line == 8


def test_the_worst_outcome_of_a_case_counts(tmp_path: Path) -> None:
    text = "<testsuite><testcase name='a'><failure message='first'/><error message='second'/></testcase></testsuite>"
    [case] = read(tmp_path, text).cases
    assert (case.status, case.message) == ("error", "second")


def test_an_error_outside_any_case_is_a_case_of_its_suite(tmp_path: Path) -> None:
    [case] = read(tmp_path, '<testsuite name="db"><error message="no server"/></testsuite>').cases
    assert (case.name, case.status, case.message) == ("db", "error", "no server")


def test_failures_that_are_counted_but_not_listed_are_not_lost(tmp_path: Path) -> None:
    report = read(tmp_path, '<testsuite tests="1" failures="2"><testcase name="a"/></testsuite>')
    assert [case.message for case in report.cases] == ["", "the report counts 2 failures and lists none"]
    assert report.errors == 1


def test_odd_numbers_are_read_as_far_as_they_mean_something(tmp_path: Path) -> None:
    times = ["1,234.5", "nan", "-1", "inf", "fast", ""]
    cases = "".join(f'<testcase name="{time}" time="{time}" line="x"/>' for time in times)
    assert [case.seconds for case in read(tmp_path, f"<testsuite>{cases}</testsuite>").cases] == [1234.5, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "report.xml:1:1: the test report is no well-formed XML: no element found"),
        ("<testsuite><testcase>", "report.xml:1:22: the test report is no well-formed XML: no element found"),
        ("<testsuite></suite>", "report.xml:1:14: the test report is no well-formed XML: mismatched tag"),
        ("<html/>", "report.xml: the file is no JUnit XML: its root is <html>, not <testsuites> or <testsuite>"),
        (b"<testsuite name='\xff'/>", "report.xml:1:18: the test report is no well-formed XML: not well-formed"),
        (
            '<?xml version="1.0" encoding="nope"?><testsuite/>',
            "report.xml: the test report cannot be read: unknown encoding: nope",
        ),
    ],
)
def test_what_is_no_junit_xml_is_refused_with_its_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(MalformedReportError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://localhost/x.dtd">',
    ],
)
def test_a_document_type_declaration_is_refused(tmp_path: Path, declaration: str) -> None:
    with pytest.raises(MalformedReportError, match="holds a document type declaration, which is refused"):
        read(tmp_path, f"{declaration}<testsuite><testcase name='x'><failure>x</failure></testcase></testsuite>")


def test_reports_are_bounded_in_size_together_and_in_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = tmp_path / "small.xml", tmp_path / "large.xml"
    small.write_text("<testsuite/>")
    with large.open("wb") as stream:
        stream.truncate(64 * 1024 * 1024)  # sparse: takes no room
    with pytest.raises(MalformedReportError, match=r"large\.xml: the test report is larger than 64 MB"):
        read_reports([small, large])
    monkeypatch.setattr(assets.junit, "CASES", 2)
    with pytest.raises(MalformedReportError, match="holds more than 2 cases"):
        read(tmp_path, "<testsuite>" + "<testcase name='a'/>" * 3 + "</testsuite>")


def test_long_traces_are_cut_and_lists_end(tmp_path: Path) -> None:
    case = f"<testcase name='a' time='1'><failure>{'x' * 100_000}</failure></testcase>"
    report = read(tmp_path, f"<testsuite>{case * 60}</testsuite>")
    assert len(report.cases[0].text) == 32 * 1024
    assert len(report.cases[0].message) == 500
    shown = report.metadata(tmp_path, tmp_path)
    assert (len(shown["failures"]), len(shown["slowest"]), shown["failed"], shown["seconds"]) == (50, 10, 60, 60)


def test_slowest_cases_come_first() -> None:
    report = TestReport(tuple(Case(str(n), seconds=n / 10) for n in range(15)))
    assert [case.name for case in report.slowest][:3] == ["14", "13", "12"]
    assert report.summary() == "15 passed"
    assert TestReport().summary() == "no tests ran"


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    report = TestReport(
        (
            Case("ok", "s", seconds=0.25),
            Case("bad <&>", "s", "failed", 1.5, "a.go", 3, "said: \x1b[31mno", "T", "line\n]]>\x00end"),
            Case("broken", "t", "error", message="why"),
            Case("later", "t", "skipped", message="not yet"),
        )
    )
    write_report(report, tmp_path / "out.xml")
    again = read_reports([tmp_path / "out.xml"])
    assert [(c.name, c.suite, c.status, c.seconds, c.file, c.line) for c in again.cases] == [
        ("ok", "s", "passed", 0.25, "", 0),
        ("bad <&>", "s", "failed", 1.5, "a.go", 3),
        ("broken", "t", "error", 0, "", 0),
        ("later", "t", "skipped", 0, "", 0),
    ]
    assert again.cases[1].text == "line\n]]>\ufffdend"


def test_files_outside_the_workspace_are_no_place_of_a_failure(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "outside.js").write_text("")
    text = f"at x ({tmp_path}/outside.js:1:1)\nat y (../outside.js:2:2)\nat z (node_modules/a.js:3:3)"
    [case] = TestReport((Case("a", status="failed", text=text),)).failures(tmp_path / "w", tmp_path / "w")
    assert (case.file, case.line) == ("", 0)
