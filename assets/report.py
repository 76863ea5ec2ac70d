"""What a test run found, whichever framework ran it: the model behind every report."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

Status = Literal["passed", "failed", "error", "skipped"]

SLOWEST = 10
FAILURES = 50
MESSAGE_LENGTH = 500
TEXT_LENGTH = 32 * 1024

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# The bounds keep the search linear on a long line without spaces.
_PYTHON_FRAME = re.compile(
    r'^(?:\s*File "(?P<quoted>[^"\n]{1,400})", line (?P<at>\d+)|(?P<plain>[^\s:]{1,400}\.py):(?P<line>\d+): )', re.M
)
_PLACE = re.compile(r"""(?<![\w./-])(?:file://)?(?P<file>[\w./@+-]{1,200}\.[A-Za-z]{1,4}):(?P<line>\d+)\b""")
_PYTHON_TYPE = re.compile(r"^\S{1,400}\.py:\d+: (?P<type>[A-Za-z_][\w.]*)$", re.M)
_FOREIGN = ("node_modules/", "site-packages/", "dist-packages/", "node:", "/rustc/")


def plain(text: str) -> str:
    """``text`` without terminal colours."""
    return _ANSI.sub("", text)


def first_line(text: str) -> str:
    """The first line that says something, without colours, cut to 500 characters."""
    for line in plain(text[:TEXT_LENGTH]).splitlines():
        if line.strip():
            return line.strip()[:MESSAGE_LENGTH]
    return ""


@dataclass(frozen=True, slots=True)
class Case:
    """One test.

    Args:
        name: as its framework names it.
        suite: class, package or file it belongs to.
        status: ``failed`` is a failed assertion, ``error`` anything else that went wrong.
        seconds: how long it took.
        file, line: where it is written or failed, as the report says; line 0 when unknown.
        message: one line.
        type: kind of failure (``AssertionError``).
        text: trace and output, at most 32 KiB.
    """

    name: str
    suite: str = ""
    status: Status = "passed"
    seconds: float = 0.0
    file: str = ""
    line: int = 0
    message: str = ""
    type: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class TestReport:
    """The cases of one run, in the order they were reported.

    Args:
        cases: the tests.
        measured: wall time in seconds, from frameworks that do not time single tests.
    """

    __test__: ClassVar[bool] = False  # no test class, whatever pytest makes of its name

    cases: tuple[Case, ...] = ()
    measured: float | None = None

    def count(self, status: Status) -> int:
        """Number of cases with ``status``."""
        return sum(case.status == status for case in self.cases)

    @property
    def passed(self) -> int:
        """Number of cases that passed."""
        return self.count("passed")

    @property
    def failed(self) -> int:
        """Number of failed assertions."""
        return self.count("failed")

    @property
    def errors(self) -> int:
        """Number of cases that went wrong otherwise."""
        return self.count("error")

    @property
    def skipped(self) -> int:
        """Number of cases that did not run."""
        return self.count("skipped")

    @property
    def seconds(self) -> float:
        """Sum of the cases' times, or what was measured in their place."""
        if self.measured is not None:
            return round(self.measured, 6)
        return round(sum(case.seconds for case in self.cases), 6)

    @property
    def slowest(self) -> list[Case]:
        """The ten cases that took longest, longest first; cases that took no time are left out."""
        timed = [case for case in self.cases if case.seconds > 0]
        return sorted(timed, key=lambda case: case.seconds, reverse=True)[:SLOWEST]

    def failures(self, workspace: Path, folder: Path) -> list[Case]:
        """The first fifty failed cases, each with the place of the failure relative to ``workspace``.

        Args:
            workspace: root of the checkout.
            folder: where the framework ran; relative paths in the report start there.
        """
        broken = [case for case in self.cases if case.status in ("failed", "error")]
        return [_located(case, workspace, folder) for case in broken[:FAILURES]]

    def metadata(self, workspace: Path, folder: Path) -> dict[str, Any]:
        """Counts, and tables of the slowest and the failed cases."""
        return {
            "tests": len(self.cases),
            "passed": self.passed,
            "failed": self.failed,
            "errors": self.errors,
            "skipped": self.skipped,
            "seconds": self.seconds,
            "slowest": [
                {"name": case.name, "suite": case.suite, "seconds": round(case.seconds, 6)} for case in self.slowest
            ],
            "failures": [
                {
                    "name": case.name,
                    "file": case.file,
                    "line": case.line,
                    "message": case.message,
                    "type": case.type,
                }
                for case in self.failures(workspace, folder)
            ],
        }

    def summary(self) -> str:
        """One line: what is not zero (``212 passed, 1 failed``)."""
        counts = (
            (self.passed, "passed"),
            (self.failed, "failed"),
            (self.errors, "errors" if self.errors != 1 else "error"),
            (self.skipped, "skipped"),
        )
        return ", ".join(f"{count} {word}" for count, word in counts if count) or "no tests ran"


def merged(reports: Iterable[TestReport]) -> TestReport:
    """All cases of several reports as one."""
    return TestReport(tuple(case for report in reports for case in report.cases))


def _located(case: Case, workspace: Path, folder: Path) -> Case:
    """``case`` with the place where it failed: from its trace if it names one in the workspace, else as reported."""
    text = plain(case.text)
    frames = [(m["quoted"] or m["plain"], int(m["at"] or m["line"])) for m in _PYTHON_FRAME.finditer(text)]
    if not case.type and (types := _PYTHON_TYPE.findall(text)):
        case = replace(case, type=types[-1])  # pytest tells it in the trace alone
    # Python prints the innermost frame last, everybody else first.
    found = frames[::-1] or [(m["file"], int(m["line"])) for m in _PLACE.finditer(text)]
    known = [(path, line) for name, line in found if (path := _in_workspace(name, workspace, folder))]
    stated = _in_workspace(case.file, workspace, folder) if case.file else None
    own = [place for place in known if place[0] == stated] if stated else known
    if own:
        return replace(case, file=own[0][0], line=own[0][1])
    if case.file:
        return replace(case, file=stated or case.file)
    return replace(case, file=known[0][0], line=known[0][1]) if known else case


def _in_workspace(name: str, workspace: Path, folder: Path) -> str | None:
    """The path of an existing file of the workspace relative to it; None for anything else."""
    if any(part in name for part in _FOREIGN):
        return None
    try:
        for base in (folder, workspace):
            place = (base / name).resolve()
            if place.is_file() and place.is_relative_to(workspace.resolve()):
                return place.relative_to(workspace.resolve()).as_posix()
    except OSError:
        return None  # a name no file system can have
    return None
