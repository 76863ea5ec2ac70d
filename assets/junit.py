"""Reads and writes JUnit XML, the format every test runner can be made to write.

There is no standard; what is read is what the common writers agree on (``testsuites``, ``testsuite``, ``testcase`` with
``failure``, ``error``, ``skipped``), as the schema of Jenkins' xUnit plug-in has it.

Reports come from the code under test, so they are not trusted: read as a stream, bounded in size and number, and any
document type declaration is refused. Without one there are no entities to expand or to fetch, so the standard
library's expat is enough and ``defusedxml``, which does the same by the same means, is not needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from assets.report import TEXT_LENGTH, Case, Status, TestReport, first_line, merged

LIMIT = 64 * 1024 * 1024
"""Largest report, bytes, of all files of one step together."""
CASES = 250_000
"""Most cases of one file."""

_OUTCOMES: dict[str, Status] = {"failure": "failed", "error": "error", "skipped": "skipped"}
_RANK: dict[Status, int] = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}
# Characters XML 1.0 cannot hold.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CHUNK = 64 * 1024


class MalformedReportError(ValueError):
    """A file is no JUnit XML that can be used; the text says which and why."""


def read_reports(files: Iterable[Path]) -> TestReport:
    """The cases of all ``files`` as one report.

    Raises:
        MalformedReportError: a file is no JUnit XML, holds a document type declaration, or is too large.
    """
    reports, left = [], LIMIT
    for file in files:
        left -= file.stat().st_size
        if left < 0:
            raise MalformedReportError(f"{file.name}: the test report is larger than {LIMIT // 2**20} MB")
        reports.append(_Reader(file.name).read(file))
    return merged(reports)


def write_report(report: TestReport, file: Path) -> None:
    """Write ``report`` as JUnit XML, a ``testsuite`` for each run of cases of one suite."""
    root = ElementTree.Element("testsuites", _counts(report))
    suites: dict[str, list[Case]] = {}
    for case in report.cases:
        suites.setdefault(case.suite, []).append(case)
    for name, cases in suites.items():
        suite = ElementTree.SubElement(root, "testsuite", {"name": _legal(name), **_counts(TestReport(tuple(cases)))})
        for case in cases:
            suite.append(_element(case))
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


class _Reader:
    """One pass over one file; nothing but the cases is kept."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._cases: list[Case] = []
        self._depth = 0
        self._suites: list[str] = []
        self._claimed = 0
        self._pytest = False
        self._case: dict[str, str] | None = None
        self._status: Status = "passed"
        self._outcome: dict[str, str] | None = None
        self._collecting = False
        self._text: list[str] = []
        self._length = 0

    def read(self, file: Path) -> TestReport:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            with file.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    parser.Parse(chunk, False)
                parser.Parse(b"", True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise MalformedReportError(
                f"{self._name}:{error.lineno}:{error.offset + 1}: the test report is no well-formed XML: {reason}"
            ) from error
        except (LookupError, ValueError) as error:
            if isinstance(error, MalformedReportError):
                raise
            raise MalformedReportError(f"{self._name}: the test report cannot be read: {error}") from error
        broken = any(case.status in ("failed", "error") for case in self._cases)
        if self._claimed and not broken:
            # Fail closed: some writers count a failure of a whole suite without listing a case for it.
            text = f"the report counts {self._claimed} failures and lists none"
            self._cases.append(Case(self._name, status="error", message=text))
        return TestReport(tuple(self._cases))

    def _doctype(self, *_declaration: object) -> None:
        raise MalformedReportError(f"{self._name}: the test report holds a document type declaration, which is refused")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and tag not in ("testsuites", "testsuite"):
            raise MalformedReportError(
                f"{self._name}: the file is no JUnit XML: its root is <{tag[:40]}>, not <testsuites> or <testsuite>"
            )
        if tag in ("testsuites", "testsuite"):
            self._suites.append(attributes.get("name", ""))
            self._pytest = self._pytest or attributes.get("name") in ("pytest", "pytest tests")
            self._claimed = max(self._claimed, sum(_whole(attributes.get(key)) for key in ("failures", "errors")))
        elif tag == "testcase":
            if len(self._cases) >= CASES:
                raise MalformedReportError(f"{self._name}: the test report holds more than {CASES:,} cases")
            self._case, self._status, self._outcome = attributes, "passed", None
            self._clear()
        elif tag in _OUTCOMES:
            # A case may hold several (a failure, then an error while cleaning up); the worst one counts.
            status = _OUTCOMES[tag]
            if self._outcome is None or _RANK[status] > _RANK[self._status]:
                self._status, self._outcome, self._collecting = status, attributes, True
                self._clear()

    def _characters(self, text: str) -> None:
        if self._collecting and self._length < TEXT_LENGTH:
            self._text.append(text[: TEXT_LENGTH - self._length])
            self._length += len(text)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if tag in ("testsuites", "testsuite"):
            self._suites.pop()
        elif tag in _OUTCOMES:
            self._collecting = False
            if self._case is None and self._outcome is not None:
                # Stands outside any case: the suite itself went wrong.
                self._close({"name": self._suites[-1] if self._suites else self._name})
        elif tag == "testcase" and self._case is not None:
            self._close(self._case)

    def _close(self, attributes: dict[str, str]) -> None:
        outcome, text = self._outcome or {}, "".join(self._text).strip()
        line = _whole(attributes.get("line"))
        self._cases.append(
            Case(
                name=attributes.get("name", ""),
                suite=attributes.get("classname") or (self._suites[-1] if self._suites else ""),
                status=self._status,
                seconds=_seconds(attributes.get("time")),
                file=attributes.get("file", ""),
                # pytest alone counts lines from 0.
                line=line + 1 if self._pytest and "line" in attributes else line,
                message=first_line(outcome.get("message") or text),
                type=outcome.get("type", ""),
                text=text,
            )
        )
        self._case, self._outcome, self._status = None, None, "passed"
        self._clear()

    def _clear(self) -> None:
        self._text, self._length = [], 0


def _seconds(text: str | None) -> float:
    try:
        seconds = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


def _counts(report: TestReport) -> dict[str, str]:
    return {
        "tests": str(len(report.cases)),
        "failures": str(report.failed),
        "errors": str(report.errors),
        "skipped": str(report.skipped),
        "time": f"{report.seconds:.6f}",
    }


def _element(case: Case) -> ElementTree.Element:
    attributes = {"classname": case.suite, "name": case.name, "time": f"{case.seconds:.6f}"}
    if case.file:
        attributes |= {"file": case.file} | ({"line": str(case.line)} if case.line else {})
    element = ElementTree.Element("testcase", {key: _legal(value) for key, value in attributes.items()})
    for tag, status in _OUTCOMES.items():
        if case.status == status:
            about = {"message": case.message, "type": case.type}
            child = ElementTree.SubElement(element, tag, {key: _legal(value) for key, value in about.items() if value})
            child.text = _legal(case.text) or None
    return element
