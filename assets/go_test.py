"""Reads ``go test -json``: one event a line, as ``go doc test2json`` describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from assets.report import TEXT_LENGTH, Case, Status, TestReport, plain

_STATUS: dict[str, Status] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
_MESSAGE = re.compile(r"^\s*(?P<file>[^\s:]+\.go):(?P<line>\d+)(?::\d+)?: (?P<text>.*)$")
_NOISE = re.compile(r"^\s*(=== |--- |FAIL\b|PASS\b|ok\s|exit status |# )")
_PANIC = re.compile(r"^panic: ")


@dataclass(slots=True)
class _Running:
    lines: list[str] = field(default_factory=list)
    length: int = 0
    status: Status | None = None
    seconds: float = 0.0

    def add(self, line: str) -> None:
        if self.length < TEXT_LENGTH:
            self.lines.append(plain(line).rstrip("\n"))
            self.length += len(line)


def read_go(lines: Iterable[str], module: str) -> tuple[TestReport, str]:
    """The report, and the text ``go test`` would have shown.

    A test with subtests is not counted besides them. A package that fails without a failing test (it does not build,
    panics while it starts) and a test that never ended are errors.

    Args:
        lines: standard output of ``go test -json``.
        module: the module's path in ``go.mod``; files are given relative to the module's folder.
    """
    tests: dict[tuple[str, str], _Running] = {}
    packages: dict[str, _Running] = {}
    builds: dict[str, _Running] = {}
    failed_builds: dict[str, str] = {}
    shown: list[str] = []
    for line in lines:
        event = _event(line)
        if event is None:
            shown.append(line)
            continue
        action, package = str(event.get("Action", "")), str(event.get("Package", ""))
        name, output = str(event.get("Test", "")), str(event.get("Output", ""))
        shown.append(output)
        if action == "build-output":
            builds.setdefault(str(event.get("ImportPath", "")), _Running()).add(output)
            continue
        if not package:
            continue
        running = tests.setdefault((package, name), _Running()) if name else packages.setdefault(package, _Running())
        if output:
            running.add(output)
        if action in _STATUS:
            running.status = _STATUS[action]
            running.seconds = _seconds(event.get("Elapsed"))
            if event.get("FailedBuild"):
                failed_builds[package] = str(event["FailedBuild"])
    parents = _parents(tests)
    cases = [
        _case(package, name, running, module)
        for (package, name), running in tests.items()
        if (package, name) not in parents
    ]
    broken = {case.suite for case in cases if case.status in ("failed", "error")}
    for package, running in packages.items():
        if running.status in ("failed", None) and package not in broken:
            told = builds.get(failed_builds.get(package, ""), running)
            cases.append(_error(package, told, module, in_package=package not in failed_builds))
    return TestReport(tuple(cases)), "".join(shown)


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _parents(tests: dict[tuple[str, str], _Running]) -> set[tuple[str, str]]:
    """Tests that say no more than their subtests do; one that fails while all its subtests pass does say more."""
    broken: dict[tuple[str, str], bool] = {}
    for (package, name), running in tests.items():
        parts = name.split("/")
        for depth in range(1, len(parts)):
            parent = (package, "/".join(parts[:depth]))
            broken[parent] = broken.get(parent, False) or running.status in ("failed", None)
    return {key for key, child in broken.items() if key in tests and (child or tests[key].status == "passed")}


def _case(package: str, name: str, running: _Running, module: str) -> Case:
    status: Status = running.status or "error"
    file, line, message = _place(running.lines, _folder(package, module))
    if running.status is None:
        message = "the test did not finish"
    text = "" if status == "passed" else "\n".join(running.lines)
    return Case(name, package, status, running.seconds, file, line, message if status != "passed" else "", "", text)


def _error(package: str, running: _Running, module: str, *, in_package: bool) -> Case:
    # A compiler names files relative to where it ran, a test relative to its package.
    file, line, message = _place(running.lines, _folder(package, module) if in_package else "")
    text = "\n".join(running.lines)
    return Case(package, package, "error", running.seconds, file, line, message or "the package failed", "", text)


def _place(lines: list[str], folder: str) -> tuple[str, int, str]:
    """File, line and message of the first line that has them; else the first line that says something."""
    for line in lines:
        if found := _MESSAGE.match(line):
            file = found["file"]
            inside = file if file.startswith("/") or not folder else f"{folder}/{file}"
            return inside.removeprefix("./"), int(found["line"]), found["text"].strip()[:500]
        if _PANIC.match(line):
            return "", 0, line[:500]
    said = (line.strip()[:500] for line in lines if line.strip() and not _NOISE.match(line))
    return "", 0, next(said, "")


def _folder(package: str, module: str) -> str:
    return package.removeprefix(module).strip("/") if package.startswith(module) else ""


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
