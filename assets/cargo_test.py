"""Reads what ``cargo test`` prints; stable Rust has no machine-readable report (rust-lang/rust#49359)."""

from __future__ import annotations

import re
from dataclasses import replace

from assets.report import TEXT_LENGTH, Case, Status, TestReport, first_line, plain

_TEST = re.compile(r"^test (?P<name>.+?)(?: - should panic)? \.\.\. (?P<result>ok|FAILED|ignored(?:, (?P<why>.*))?)$")
_RESULT = re.compile(r"^test result: \S+ \d+ passed; (?P<failed>\d+) failed; .*?(?:finished in (?P<seconds>[\d.]+)s)?$")
_DETAIL = re.compile(r"^---- (?P<name>.+) stdout ----$")
_PANIC = re.compile(r"^thread '.*' (?:\(\d+\) )?panicked at (?:'(?P<old>.*)', )?(?P<file>[^:']+):(?P<line>\d+):\d+:?$")


def read_cargo(text: str) -> TestReport:
    """The cases in the standard output of ``cargo test``.

    Single tests have no time, only their binaries. A failure that is counted but not listed (output of the
    test tore its line) becomes a case of its own.
    """
    cases: list[Case] = []
    binary: list[Case] = []
    details: dict[str, list[str]] = {}
    current: list[str] | None = None
    seconds = 0.0
    for line in plain(text).splitlines():
        if found := _TEST.match(line):
            binary.append(_case(found))
        elif found := _DETAIL.match(line):
            current = details.setdefault(found["name"], [])
        elif line == "failures:":
            current = None
        elif found := _RESULT.match(line):
            cases += _closed(binary, details, int(found["failed"]))
            seconds += float(found["seconds"] or 0)
            binary, details, current = [], {}, None
        elif current is not None:
            current.append(line)
    if binary:
        # No result line: the test binary died.
        cases += binary
        cases.append(Case("test binary", status="error", message="the test binary ended before all its tests did"))
    return TestReport(tuple(cases), measured=seconds)


def _case(found: re.Match[str]) -> Case:
    result = found["result"]
    status: Status = "passed" if result == "ok" else "failed" if result == "FAILED" else "skipped"
    return Case(found["name"], status=status, message=found["why"] or "")


def _closed(binary: list[Case], details: dict[str, list[str]], failed: int) -> list[Case]:
    named = {case.name for case in binary if case.status == "failed"}
    binary = [*binary, *(Case(name, status="failed") for name in details if name not in named)]
    missing = failed - sum(case.status == "failed" for case in binary)
    binary += [Case(f"unnamed test {number + 1}", status="failed") for number in range(missing)]
    return [_explained(case, details.get(case.name, [])) if case.status == "failed" else case for case in binary]


def _explained(case: Case, lines: list[str]) -> Case:
    text = "\n".join(lines).strip()[:TEXT_LENGTH]
    for at, line in enumerate(lines):
        if found := _PANIC.match(line):
            # Since Rust 1.73 the message follows on the next line.
            message = found["old"] or first_line("\n".join(lines[at + 1 :]))
            return replace(case, file=found["file"], line=int(found["line"]), message=message, type="panic", text=text)
    return replace(case, message=first_line(text) or "failed", text=text)
