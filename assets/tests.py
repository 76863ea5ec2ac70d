"""Step kinds ``test.unit``, ``test.integration`` and ``test.e2e``: run tests and read their report."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from assets import places
from assets.frameworks import Framework, Level, detect
from assets.interpreters import interpreter_requirement
from assets.junit import MalformedReportError, read_reports, write_report
from assets.node_packages import NODE
from assets.shell import shell_argv, shell_requirement
from assets.test_evidence import result_claim
from assets.test_runners import TestCall, TestRun, run_tests
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult

MEDIA_TYPE = "application/xml"

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_GO = Requirement("go", "install Go: apt install golang-go", version_args=("version",))
_CARGO = Requirement("cargo", "install Rust: apt install cargo")
_LEVEL_NAMES: dict[Level, str] = {"unit": "unit", "integration": "integration", "e2e": "end-to-end"}


class TestParams(BaseParams):
    """Parameters of the test kinds."""

    __test__: ClassVar[bool] = False

    command: str | None = Field(None, min_length=1, description="Runs the tests, in bash; no framework is detected.")
    framework: Literal["auto"] | Framework = Field("auto", description="Test framework; found by the project's files.")
    paths: list[str] = Field(default_factory=list, description="What to test; the level's folders when not given.")
    arguments: list[str] = Field(default_factory=list, description="Added to the framework's own arguments.")
    report: str | None = Field(
        None,
        min_length=1,
        description="With `command`: path or glob of the JUnit XML it writes. Else: where the report is put.",
    )
    directory: str = Field(".", description="Folder of the project.")
    python: str | None = Field(None, min_length=1, description="Interpreter that runs pytest.")

    @model_validator(mode="after")
    def _a_command_says_it_all(self) -> TestParams:
        if self.command is not None:
            others = [name for name in ("paths", "arguments", "python") if getattr(self, name)]
            others += ["framework"] if self.framework != "auto" else []
            if others:
                raise ValueError(f"'command' is given, so '{others[0]}' would do nothing; put it into the command")
        return self


def _run(level: Level) -> Callable[[StepContext, TestParams], StepResult]:
    def run(context: StepContext, params: TestParams) -> StepResult:
        folder = places.folder(context.workspace, params.directory, "directory")
        try:
            if params.command is not None:
                ran = _command(context, params, folder, params.command)
            else:
                ran = _framework(context, params, folder, level)
        except MalformedReportError as error:
            failed = result_claim(f"test.{level}", params, False, None)
            return StepResult(passed=False, summary=str(error), claims=[failed])
        result = _result(context, params, level, folder, ran)
        return replace(result, claims=[result_claim(f"test.{level}", params, result.passed, ran.report)])

    return run


def _framework(context: StepContext, params: TestParams, folder: Path, level: Level) -> TestRun:
    wanted = None if params.framework == "auto" else params.framework
    setup = detect(folder, context.workspace, level, wanted, tuple(params.paths))
    return run_tests(TestCall(context, folder, setup, tuple(params.arguments), params.python))


def _command(context: StepContext, params: TestParams, folder: Path, command: str) -> TestRun:
    before = _stamps(context, params)
    code = context.run_process(shell_argv(command), cwd=folder).exit_code
    # Only what this command wrote: a report that lay there before says nothing about this revision.
    fresh = [file for file, stamp in _stamps(context, params).items() if before.get(file) != stamp]
    if not fresh:
        return TestRun(code, counted=params.report is not None)
    report = read_reports(fresh)
    if len(fresh) == 1:
        return TestRun(code, report, fresh[0])
    merged = context.scratch / "junit.xml"
    write_report(report, merged)
    return TestRun(code, report, merged)


def _stamps(context: StepContext, params: TestParams) -> dict[Path, tuple[int, int, int]]:
    if params.report is None:
        return {}
    found = {file: file.stat() for file in places.matches(context.workspace, params.report, "report")}
    return {file: (status.st_mtime_ns, status.st_size, status.st_ino) for file, status in found.items()}


def _result(context: StepContext, params: TestParams, level: Level, folder: Path, ran: TestRun) -> StepResult:
    code, report = ran.exit_code, ran.report
    ended = f"exit code {code}"
    if report is None or ran.file is None:
        if not ran.counted:
            summary = f"{ended}; there is no report, so the tests are not counted"
            return StepResult(passed=code == 0, summary=summary, exit_code=code)
        wanted = f" that matches '{params.report}'" if params.command and params.report else ""
        return StepResult(
            passed=False, summary=f"no tests ran: no report{wanted} was written ({ended})", exit_code=code
        )
    broken, executed = report.failed + report.errors, len(report.cases) - report.skipped
    summary = report.summary()
    if not report.cases and code != 0:
        summary = f"{summary} ({ended})"
    elif report.cases and not executed:
        summary = f"no tests ran: all {report.skipped} were skipped"
    elif code != 0 and not broken:
        summary = f"{summary}, but {ended}"
    elif code == 0 and broken:
        summary = f"{summary}, though the exit code is 0"
    return StepResult(
        passed=code == 0 and not broken and executed > 0,
        summary=summary,
        outputs=[Output("report", _kept(context, params, level, ran.file), MEDIA_TYPE)],
        metadata=report.metadata(context.workspace, folder),
        exit_code=code,
    )


def _kept(context: StepContext, params: TestParams, level: Level, file: Path) -> str:
    """Where the report lies in the workspace; put there unless the command did."""
    if file.is_relative_to(context.workspace) and not file.is_relative_to(context.scratch):
        return places.relative(context.workspace, file)
    if params.report is not None and params.command is None:
        place = places.inside(context.workspace, params.report, "report")
    else:
        place = places.inside(context.workspace, f"reports/{_file_name(context, level)}.xml", "report")
        reports = context.workspace / "reports"
        if not reports.exists():
            reports.mkdir(exist_ok=True)
            # A folder nobody asked for must not make the checkout another revision.
            reports.joinpath(".gitignore").write_text("*\n")
    places.publish(file, place)
    return places.relative(context.workspace, place)


def _file_name(context: StepContext, level: Level) -> str:
    """The step's name as a path: as steps share one checkout, no other step has it, and the next run overwrites it."""
    step = context.env.get("MAESTRO_STEP") or f"test-{level}"
    plain = "/".join(_NOT_IN_NAMES.sub("-", part).lstrip(".") or "-" for part in step.split("/"))
    return plain if plain == step else f"{plain}-{hashlib.sha256(step.encode()).hexdigest()[:8]}"


def _describe(level: Level) -> Callable[[TestParams], str]:
    def describe(params: TestParams) -> str:
        tests = f"the {_LEVEL_NAMES[level]} tests"
        if params.command is not None:
            return f"Runs {tests} with `{params.command.strip().splitlines()[0]}`."
        by = "the framework it finds" if params.framework == "auto" else params.framework
        return f"Runs {tests} with {by}{' in ' + params.directory if params.directory != '.' else ''}."

    return describe


def _requires(level: Level) -> Callable[[PlanContext, TestParams], list[Requirement]]:
    def requires(context: PlanContext, params: TestParams) -> list[Requirement]:
        if params.command is not None:
            return [shell_requirement("bash")]
        folder = places.folder(context.workspace, params.directory, "directory")
        wanted = None if params.framework == "auto" else params.framework
        setup = detect(folder, context.workspace, level, wanted, tuple(params.paths))
        if setup.framework == "pytest":
            return [interpreter_requirement(params.python, folder, context.workspace, context.which)]
        if setup.framework in ("go", "cargo"):
            return [_GO if setup.framework == "go" else _CARGO]
        needed = setup.package.requirements if setup.package else [NODE]
        return needed if setup.framework == "script" else [NODE]

    return requires


def _kind(level: Level) -> StepKind[TestParams]:
    return StepKind(
        name=f"test.{level}",
        version="2",
        params=TestParams,
        run=_run(level),
        summary=f"Runs the {_LEVEL_NAMES[level]} tests and keeps their report as JUnit XML.",
        describe=_describe(level),
        requires=_requires(level),
        dagster_kinds=("test", "junit"),
        check="tests_pass",
        confined=True,
    )


TEST_UNIT = _kind("unit")
TEST_INTEGRATION = _kind("integration")
TEST_E2E = _kind("e2e")
