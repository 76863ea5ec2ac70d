"""What a step kind is: a name, frozen parameters, and one function from context to result."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from maestro.artifacts import Artifact, ArtifactStore, Claim, Material, StepRecord, Subject
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.evidence.desk import EvidenceDesk
    from maestro.llm.catalogue import Catalogue
    from maestro.llm.model import Answer, Decision, ModelRequest


class BaseParams(BaseModel):
    """Base of every kind's parameters (a step's ``with:``): frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=BaseParams)

_NO_SOURCE = Subject("unknown", {"gitCommit": "0" * 40})


@dataclass(frozen=True, slots=True)
class Requirement:
    """A tool a kind needs before anything runs.

    Args:
        tool: the executable looked up on PATH.
        install: how to get it, as an imperative sentence.
        version_args: arguments that print its version; the output becomes part of the cache key. Empty: not asked.
    """

    tool: str
    install: str
    version_args: tuple[str, ...] = ("--version",)


class History(Protocol):
    """What git knows of the revision; every call asks git, so few kinds should."""

    @property
    def base(self) -> str | None:
        """The commit the revision is compared with; None: there is none."""
        ...

    def diff(self, since: str | None = None, *, most_bytes: int = 5_000_000) -> str:
        """The unified diff from ``since`` (default: the base) to the revision, cut off with a line that says so."""
        ...

    def changed_files(self, since: str | None = None) -> list[str]:
        """Paths that differ."""
        ...

    def log(self, since: str | None = None, *, most: int = 500) -> str:
        """Commits after ``since`` (default: the base), the newest first: a line ``<hash> <subject>``, then the body."""
        ...


class NoHistory:
    """Where there is no repository."""

    base: str | None = None

    def diff(self, since: str | None = None, *, most_bytes: int = 5_000_000) -> str:
        """Nothing."""
        return ""

    def changed_files(self, since: str | None = None) -> list[str]:
        """None."""
        return []

    def log(self, since: str | None = None, *, most: int = 500) -> str:
        """Nothing."""
        return ""


class Models(Protocol):
    """Language models, for one step: what it asks is charged to it, within its budgets."""

    @property
    def catalogue(self) -> Catalogue:
        """The models there are."""
        ...

    @property
    def prompt_folders(self) -> Sequence[Path]:
        """Where prompts are, the project's before Maestro's own."""
        ...

    def ask(self, request: ModelRequest) -> Answer:
        """The answer.

        Raises:
            BudgetExceededError, NoModelError, ProviderError: there is none; nothing stays reserved. Money that other
                calls have reserved is waited for before, as long as the step has time.
            StepCancelledError, StepTimeoutError: the step was stopped.
        """
        ...

    def decide(self, request: ModelRequest) -> Decision:
        """Which model would be asked, and why; nothing is asked and nothing reserved.

        Raises:
            NoModelError: the target names nothing.
        """
        ...

    def decision(self, id: str) -> Decision | None:
        """A decision that was kept."""
        ...

    def usual_cost(self, model: str) -> int | None:
        """What this step cost in the middle of its last runs, in nanodollars; None: it never asked this model."""
        ...


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a step is expected to cost, in nanodollars.

    Args:
        likely, at_most: 0 where nothing is charged; None: nobody knows. ``likely`` is never the greater one.
        by: who would do it, and why, one line.
        refused: why it would not be done as things are, and what to do; ``at_most`` is then what it would have to be
            granted. None: nothing is in its way.
    """

    likely: int | None
    at_most: int | None
    by: str
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What a kind may look at while planning: the checkout, read only, its history, and where tools are."""

    workspace: Path
    which: Callable[[str], str | None]
    history: History = field(default_factory=NoHistory)
    find_models: Callable[[], Models | None] = lambda: None
    """Opens the language models; few kinds need it."""


@dataclass(frozen=True, slots=True)
class Output:
    """One thing a step leaves behind.

    Args:
        name: how other steps name it (``steps.<id>.outputs.<name>``).
        path: where it lies in the workspace, relative, POSIX separators; a file.
        media_type: RFC 6838 media type; guessed from the name when None.
    """

    name: str
    path: str
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step did.

    Args:
        passed: False fails the step's check; its outputs are kept all the same.
        summary: one line for people (``212 passed, 1 failed``).
        outputs: files to keep as artifacts, besides those the step declares under ``outputs``.
        values: small values other steps read as ``steps.<id>.outputs.<name>``; JSON types.
        metadata: shown in the Dagster UI and read as ``steps.<id>.metadata.<name>``; JSON types. Numbers plot over
            revisions, lists of flat objects become tables, strings that start with http(s):// become links.
        cost_usd: money spent, United States dollars.
        exit_code: of the process that decided, when there was one.
        subjects: what the step delivers, for evidence and gates: packages, images.
        materials: what it was made from that Maestro cannot know itself, such as base images, or a prompt and a model.
        artifacts: outputs that are no files of the workspace, such as reports: already put into the store
            (``context.artifacts.put_bytes(data, name=…, media_type=…)``).
        claims: what the step says about subjects. Maestro signs them once the outputs are kept; a step sees no key.
    """

    passed: bool = True
    summary: str = ""
    outputs: Sequence[Output] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    cost_usd: float = 0.0
    exit_code: int | None = None
    subjects: Sequence[Subject] = ()
    materials: Sequence[Material] = ()
    claims: Sequence[Claim] = ()
    artifacts: Sequence[Artifact] = ()


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished process.

    Args:
        exit_code: as the shell would report it: 128 + signal number when a signal ended it.
        seconds: wall time.
    """

    exit_code: int
    seconds: float


class RunProcess(Protocol):
    """Runs a process of this step: own process group, output to the step's log, masked, killed with the step."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
    ) -> Completed:
        """Run ``argv`` in ``cwd`` (default: the workspace) with ``env`` added to the step's own.

        ``stdout`` sends standard output to a file instead of the log. Raises StepTimeoutError or
        StepCancelledError when the step was stopped; never raises for a non-zero exit code.
        """
        ...


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a kind's function is given.

    Args:
        workspace: the checkout this step works in.
        scratch: an empty private folder, removed after the step.
        log: records go to the step's log, masked.
        env: environment of the step's processes, the step's secrets included.
        secrets: name -> value, only those the step names.
        artifacts: the artifact store.
        cancelled: set when the run is being cancelled or the step has timed out.
        revision: git commit id, or ``worktree-<digest>``.
        upstream: step name -> its outputs, for every step this one depends on.
        run_process: runs a process of this step.
        idempotency_key: equal for every attempt of this step in this run and its resumptions.
        spend: records money spent, in United States dollars.
    """

    workspace: Path
    scratch: Path
    log: logging.Logger
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    artifacts: ArtifactStore
    cancelled: threading.Event
    revision: str
    upstream: Mapping[str, Mapping[str, Artifact]]
    run_process: RunProcess
    idempotency_key: str
    spend: Callable[[float], None]
    which: Callable[[str], str | None]
    """Finds an executable on the PATH the step's processes get."""
    records: Mapping[str, StepRecord] = field(default_factory=dict)
    """Step name -> its record, for every step this one waits for, directly or not, in the order of the workflow."""
    find_evidence: Callable[[], EvidenceDesk | None] = lambda: None
    """Opens it; few kinds need it."""
    find_source: Callable[[], Subject] = lambda: _NO_SOURCE
    """Asks git; few kinds need it."""
    workflow: str = ""
    """Name of the workflow."""
    required_evidence: Sequence[str] = ()
    """Evidence types the project's contract requires."""
    history: History = field(default_factory=NoHistory)
    """What git knows of the revision."""
    find_models: Callable[[], Models | None] = lambda: None
    """Opens the language models; few kinds need it."""

    @property
    def models(self) -> Models | None:
        """Language models, charged to this step; None where a kind is run without a project."""
        return self.find_models()

    @property
    def evidence(self) -> EvidenceDesk | None:
        """Signed evidence, policy and audit log of the project; None where a kind is run without a project."""
        return self.find_evidence()

    @property
    def source(self) -> Subject:
        """The revision of the source, as a subject of evidence."""
        return self.find_source()


@dataclass(frozen=True, slots=True)
class StepKind(Generic[P]):
    """A kind of step.

    Args:
        name: what ``run:`` names, dotted lower case.
        version: changes when the same parameters would give other results; part of the cache key.
        params: the model of ``with:``.
        run: does the work.
        describe: one sentence, what it would do, for ``maestro plan``.
        requires: tools that must be there, given the parameters and the checkout. May raise InputError when the
            checkout has nothing this kind can work on.
        dagster_kinds: at most two labels shown on the asset (``python``, ``shell``).
        effects: True when running it changes something outside the workspace: never cached.
        outputs: globs it leaves behind when the step itself declares none.
        summary: one sentence, for the reference.
        check: the name of the asset check that carries pass or fail.
        cached: given the parameters, whether a result may be used again; False for what depends on the time, such
            as a gate, or on a place outside, such as a registry.
        depends: what else a result depends on, given the checkout and the parameters: name -> digest or short text;
            part of the cache key and of provenance.
        forecast: what it is expected to cost, for ``maestro plan``; None: nothing.
        final_word: given what it has found wrong while planning, whether that stays so whatever the steps before it
            do; else a step that waits for others may yet find what it works on.
        reused: given summary and metadata of a result, what they are where it comes from the cache: otherwise for a
            kind that says what it spent. Given the metadata it returned itself, it returns the same again.
        confined: True: what the source has it do, it does in processes of ``run_process`` alone, reads nothing of the
            host and reaches nobody; so a run of a stranger's commit, whose processes are sandboxed, may have it.
    """

    name: str
    version: str
    params: type[P]
    run: Callable[[StepContext, P], StepResult]
    summary: str
    describe: Callable[[P], str]
    requires: Callable[[PlanContext, P], Sequence[Requirement]] = lambda _context, _params: ()
    dagster_kinds: tuple[str, ...] = ()
    effects: bool = False
    check: str = "succeeded"
    cached: Callable[[P], bool] = lambda _params: True
    confined: bool = False
    depends: Callable[[PlanContext, P], Mapping[str, str]] = lambda _context, _params: {}
    forecast: Callable[[PlanContext, P], Forecast | None] = lambda _context, _params: None
    final_word: Callable[[InputError], bool] = lambda _error: False
    reused: Callable[[str, Mapping[str, Any]], tuple[str, Mapping[str, Any]]] = lambda summary, said: (summary, said)
