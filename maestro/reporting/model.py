"""A run as it is told to its author; every text in it may come from somebody nobody trusts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from maestro.runs.view import StepState

ReportState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled", "invalid"]
Level: TypeAlias = Literal["notice", "warning", "failure"]
FINAL: frozenset[ReportState] = frozenset({"succeeded", "failed", "cancelled", "invalid"})


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step.

    Args:
        name: ``stage/id``, or ``stage/id/cell``.
        summary: one line; why it failed or was skipped.
        seconds: wall time; None when it has not ended, or never began.
        made_by_run: of a step from the cache, the run that really made it.
        log: the last lines of what a failed step wrote.
    """

    name: str
    state: StepState
    summary: str = ""
    seconds: float | None = None
    made_by_run: str | None = None
    log: tuple[str, ...] = ()

    @property
    def cached(self) -> bool:
        """Whether its result came from the cache."""
        return self.state == "cached"


@dataclass(frozen=True, slots=True)
class TestFailure:
    """A test that failed.

    Args:
        file, line: in the repository; empty and 0 when unknown.
        message: one line.
    """

    __test__ = False

    name: str
    file: str = ""
    line: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class TestsReport:
    """What a test step counted.

    Args:
        failed: those that went wrong in any way.
        failures: the first of them.
    """

    __test__ = False

    step: str
    passed: int
    failed: int
    skipped: int
    seconds: float = 0.0
    failures: tuple[TestFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class GateReason:
    """Why a gate denied, and what would change that."""

    rule: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class GateReport:
    """What a gate decided.

    Args:
        policy: package and rule.
        decision: its id, for ``maestro policy explain``.
        waived: number of waivers that were used.
    """

    step: str
    policy: str
    allowed: bool
    reasons: tuple[GateReason, ...] = ()
    decision: str = ""
    waived: int = 0
    summary: str = ""


@dataclass(frozen=True, slots=True)
class ComponentsReport:
    """What differs in the components of one subject from an earlier revision.

    Args:
        vulnerabilities: new ones by severity, the worst first; None when nobody looked on both sides.
        new: names and versions of the first components that were added.
    """

    subject: str
    against: str
    added: int
    removed: int
    changed: int
    licenses: int = 0
    vulnerabilities: Mapping[str, int] | None = None
    new: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something to be shown at a line of a file.

    Args:
        path: in the repository.
        line, column: from 1; column 0 when unknown.
    """

    path: str
    line: int
    message: str
    title: str = ""
    level: Level = "failure"
    column: int = 0


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run of one revision.

    Args:
        project: its registered name.
        repository: ``owner/name`` as its provider writes it.
        sha: the commit everything is shown at.
        reason: why it ended so, when no step says it; of ``invalid``, what is wrong.
        url: where people see the run; None when there is no such place.
        pull_request: number of the pull or merge request whose comment is kept up to date.
        deployment: id of the provider's deployment that asked for the run.
        created, started, ended: Unix seconds; ``created`` says which of two runs is the later one.
        annotations: what can be shown at a line of a file.
        provider: whom it is told to.
    """

    project: str
    repository: str
    sha: str
    run_id: str
    workflow: str
    state: ReportState
    created: float
    reason: str = ""
    url: str | None = None
    pull_request: int | None = None
    deployment: int | None = None
    environment: str | None = None
    started: float | None = None
    ended: float | None = None
    steps: tuple[StepReport, ...] = ()
    tests: tuple[TestsReport, ...] = ()
    gates: tuple[GateReport, ...] = ()
    components: tuple[ComponentsReport, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    compensations: tuple[str, ...] = ()
    provider: Literal["github", "gitlab", "git"] = "github"

    @property
    def final(self) -> bool:
        """Whether nothing more happens."""
        return self.state in FINAL

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs, or when it never did."""
        return None if self.started is None or self.ended is None else max(0.0, self.ended - self.started)

    @property
    def first_failure(self) -> StepReport | None:
        """The step that failed first, which is where to look; steps are in the order they started."""
        return next((one for one in self.steps if one.state == "failed"), None)
