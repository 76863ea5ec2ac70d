"""Reads ``jest --json --testLocationInResults``: jest has no JUnit reporter of its own, and this one has lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assets.junit import LIMIT, MalformedReportError
from assets.report import TEXT_LENGTH, Case, Status, TestReport, first_line, plain

_STATUS: dict[str, Status] = {"passed": "passed", "failed": "failed"}


def read_jest(file: Path) -> TestReport:
    """The cases in jest's JSON result; a test file that could not be run is an error.

    Raises:
        MalformedReportError: the file is too large or is not what jest writes.
    """
    if file.stat().st_size > LIMIT:
        raise MalformedReportError(f"{file.name}: the test report is larger than {LIMIT // 2**20} MB")
    try:
        return TestReport(tuple(_cases(json.loads(file.read_bytes()))))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedReportError(f"{file.name}: the file is not what jest --json writes: {error}") from error


def _cases(result: Mapping[str, Any]) -> Iterator[Case]:
    for suite in result["testResults"]:
        name, found = str(suite["name"]), suite["assertionResults"]
        for test in found:
            yield _case(name, test)
        if suite["status"] == "failed" and not any(test["status"] == "failed" for test in found):
            text = plain(str(suite.get("message") or ""))[:TEXT_LENGTH]
            message = first_line(text.replace("● Test suite failed to run", "")) or "the test file could not be run"
            yield Case(Path(name).name, status="error", suite=Path(name).name, file=name, message=message, text=text)


def _case(file: str, test: Mapping[str, Any]) -> Case:
    # Everything else (pending, todo, disabled) did not run.
    status = _STATUS.get(test["status"], "skipped")
    text = plain("\n".join(str(part) for part in test.get("failureMessages") or ()))[:TEXT_LENGTH]
    return Case(
        name=str(test["fullName"]),
        suite=Path(file).name,
        status=status,
        seconds=float(test.get("duration") or 0) / 1000,
        file=file,
        line=int((test.get("location") or {}).get("line") or 0),
        message=first_line(text) if status == "failed" else "",
        text=text,
    )
