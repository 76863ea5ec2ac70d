"""Runs the tests of a project by its framework and reads what they report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from assets.cargo_test import read_cargo
from assets.frameworks import TestSetup
from assets.go_test import read_go
from assets.interpreters import interpreter_with
from assets.jest import read_jest
from assets.junit import LIMIT, read_reports, write_report
from assets.node_packages import NodePackage
from assets.report import TestReport
from maestro.errors import InputError
from maestro.steps import StepContext

_MODULE = re.compile(r"^module\s+\"?([^\s\"]+)", re.M)


@dataclass(frozen=True, slots=True)
class TestRun:
    """What came of it.

    Args:
        exit_code: of the framework.
        report: the cases; None when the framework left no report, or none can be had.
        file: the report as JUnit XML.
        counted: False when no report can be had, so that the exit code is all there is.
    """

    __test__: ClassVar[bool] = False

    exit_code: int
    report: TestReport | None = None
    file: Path | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class TestCall:
    """What to run, and where.

    Args:
        context: of the step.
        folder: the project's folder.
        setup: framework and paths.
        arguments: added to the framework's own.
        python: interpreter the step names, if any.
    """

    __test__: ClassVar[bool] = False

    context: StepContext
    folder: Path
    setup: TestSetup
    arguments: tuple[str, ...] = ()
    python: str | None = None


def run_tests(call: TestCall) -> TestRun:
    """Run the framework of ``call.setup``.

    Raises:
        InputError: the framework is not installed.
        MalformedReportError: its report cannot be read.
    """
    match call.setup.framework:
        case "pytest":
            return _pytest(call)
        case "vitest":
            return _vitest(call)
        case "jest":
            return _jest(call)
        case "go":
            return _go(call)
        case "cargo":
            return _cargo(call)
        case "script":
            return _script(call)


def _pytest(call: TestCall) -> TestRun:
    python = interpreter_with(call.context, "pytest", call.python, call.folder, "pytest")
    file = call.context.scratch / "junit.xml"
    # xunit1 is the family that names each test's file; the line of the failure is in the trace.
    argv = [python, "-m", "pytest", f"--junitxml={file}", "-o", "junit_family=xunit1"]
    argv += [f"--ignore={name}" for name in call.setup.ignored]
    code = _run(call, [*argv, *call.arguments, *call.setup.paths])
    return _reported(code, file)


def _vitest(call: TestCall) -> TestRun:
    file = call.context.scratch / "junit.xml"
    argv = [_program(call, "vitest"), "run", "--reporter=default", "--reporter=junit", f"--outputFile.junit={file}"]
    argv += [f"--exclude={name}/**" for name in call.setup.ignored]
    code = _run(call, [*argv, *call.arguments, *call.setup.paths])
    return _reported(code, file)


def _jest(call: TestCall) -> TestRun:
    result, file = call.context.scratch / "jest.json", call.context.scratch / "junit.xml"
    argv = [_program(call, "jest"), "--ci", "--json", f"--outputFile={result}", "--testLocationInResults"]
    # Last, as the option takes every word that follows; it replaces the default, node_modules.
    ignored = [f"--testPathIgnorePatterns=/{name}/" for name in (*call.setup.ignored, "node_modules")]
    code = _run(call, [*argv, *call.arguments, *call.setup.paths, *ignored])
    return TestRun(code) if not result.is_file() else _written(code, read_jest(result), file)


def _go(call: TestCall) -> TestRun:
    events, file = call.context.scratch / "events.jsonl", call.context.scratch / "junit.xml"
    code = _run(call, ["go", "test", "-json", *call.arguments, *call.setup.paths], events)
    found = _MODULE.search((call.folder / "go.mod").read_text("utf-8", errors="replace"))
    report, shown = read_go(_text(events).splitlines(keepends=True), found[1] if found else "")
    call.context.log.info("%s", shown.rstrip("\n"))
    return _written(code, report, file)


def _cargo(call: TestCall) -> TestRun:
    printed, file = call.context.scratch / "cargo.out", call.context.scratch / "junit.xml"
    code = _run(call, ["cargo", "test", "--no-fail-fast", *call.setup.paths, *call.arguments], printed)
    text = _text(printed)
    call.context.log.info("%s", text.rstrip("\n"))
    return _written(code, read_cargo(text), file)


def _script(call: TestCall) -> TestRun:
    manager = call.setup.package.manager if call.setup.package else "npm"
    more = ["--", *call.arguments] if call.arguments else []
    return TestRun(_run(call, [manager, "run", call.setup.script, *more]), counted=False)


def _run(call: TestCall, argv: Sequence[str], stdout: Path | None = None) -> int:
    return call.context.run_process(argv, cwd=call.folder, stdout=stdout).exit_code


def _reported(code: int, file: Path) -> TestRun:
    return TestRun(code, read_reports([file]), file) if file.is_file() else TestRun(code)


def _written(code: int, report: TestReport, file: Path) -> TestRun:
    write_report(report, file)
    return TestRun(code, report, file)


def _text(file: Path) -> str:
    """What a framework printed, up to 64 MB; a cut report shows as tests that did not finish."""
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        return stream.read(LIMIT).decode("utf-8", errors="replace")


def _program(call: TestCall, name: str) -> str:
    package: NodePackage | None = call.setup.package
    found = package.program(name, call.context.workspace) if package else None
    if found is None:
        raise InputError(
            f"{name} is not installed in '{call.folder.name}'",
            next_step="install the dependencies in a step before: npm ci",
        )
    return str(found)
