"""What the steps of one run share: the checkout, the stores, the processes, and what each step has left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.artifacts import ArtifactStore, EffectJournal, RecordStore, StepRecord, Subject
from maestro.errors import MaestroError
from maestro.execution.cache_writer import CacheWriter
from maestro.execution.errors import StepError
from maestro.execution.history import GitHistory
from maestro.execution.last_keys import LastKeys
from maestro.execution.outputs import products_of, restore
from maestro.execution.request import RunIdentity, RunRequest
from maestro.execution.resolve import Resolved, Resolver
from maestro.execution.scope import EnvScope, GitScope, base_scope, steps_scope
from maestro.execution.tools import Tools
from maestro.process import ProcessRunner, StopEvent, base_environment
from maestro.process.sandbox_links import remove_strays
from maestro.project import FileEntry, Project, Revision, current_revision, source_subject
from maestro.secrets import Masker, SecretReader, SecretSource, SecretValues, kept_apart
from maestro.steps import Models, PlanContext, Registry
from maestro.workflow.expressions import Expressions
from maestro.workflow.graph import Graph, Node
from maestro.workflow.load import LoadedWorkflow

if TYPE_CHECKING:
    from maestro.evidence.desk import EvidenceDesk
    from maestro.execution.models import RunModels
    from maestro.execution.quotas import RunQuotas

_SERVER_HOME = "MAESTRO_SERVER_HOME"


@dataclass
class RunSession:
    """Shared by the steps of one run in one process; close it when the run ends.

    Args:
        workspace: the checkout the steps work in.
        environ: environment of Maestro itself; steps inherit an allow-list of it.
        stop: set to stop the steps; abort: set to stop finally steps and compensations as well.
        open_desk: of what signs and verifies evidence, opened when there is some; None while planning.
        profile: name or folder of the one whose policies are asked while there is no desk; None: as
            ``MAESTRO_PROFILE`` says.
    """

    project: Project
    project_name: str
    loaded: LoadedWorkflow
    graph: Graph
    registry: Registry
    revision: Revision
    workspace: Path
    identity: RunIdentity
    request: RunRequest
    store: ArtifactStore
    environ: Mapping[str, str]
    stop: threading.Event = field(default_factory=StopEvent)
    abort: threading.Event = field(default_factory=StopEvent)
    open_desk: Callable[[], EvidenceDesk] | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        self.records = RecordStore(self.store)
        self.journal = EffectJournal(self.store)
        self.expressions = Expressions()
        self.base_environment = base_environment(self.environ)
        self.tools = Tools(
            self.base_environment.get("PATH"),
            self.project.ensure_home() / "tools.json",
            strange=self.workspace if self.request.untrusted else None,
            environment=self.base_environment,
        )
        if self.request.untrusted:
            # Planning and step kinds read files of the checkout in this process.
            remove_strays(self.workspace)
        self.resolver = Resolver(self.loaded, self.registry, self.expressions, self.tools, self.revision.files)
        self.processes = ProcessRunner()
        in_place = self.workspace == self.project.root
        self.cache_writer = CacheWriter(self.records, self.revision.files, self._files_now if in_place else None)
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._desk: EvidenceDesk | None = None
        self._bringing = threading.Lock()
        self._models: RunModels | None = None
        self._made: dict[str, StepRecord] = {}
        self._found: dict[str, StepRecord] = {}
        self._in_place: set[str] = set()
        self._secret_values: set[str] = set()
        self._key_parts: dict[str, Mapping[str, str]] = {}

    def plan_context(self, step: str) -> PlanContext:
        """What the kind of ``step`` may look at before it runs."""
        # A stranger's commit asks no model, and its prompts are not rendered here.
        models: Callable[[], Models | None] = (
            (lambda: None) if self.request.untrusted else (lambda: self.models_of(step))
        )
        return PlanContext(self.workspace, self.tools.which, self.history, models)

    @cached_property
    def quotas(self) -> RunQuotas:
        """What the run may use beside money; first asked for where one thread begins the run."""
        from maestro.execution.quotas import RunQuotas

        return RunQuotas(self)

    @cached_property
    def history(self) -> GitHistory:
        """What git knows of the revision."""
        return GitHistory(self.project, self.revision, self._git)

    @cached_property
    def _git(self) -> GitScope:
        return GitScope(self.project, self.revision, self.request.base)

    def models_of(
        self,
        step: str,
        stop: threading.Event | None = None,
        seconds: float | None = None,
        tell: Callable[[str], None] = lambda _sentence: None,
    ) -> Models:
        """Language models, charged to ``step``; opened when they are first asked for.

        Args:
            stop: set to give up; seconds: what is left of the step's time.
            tell: is told what the step waits for.

        Raises:
            StepError: the run is of somebody else's fork.
        """
        if self.request.untrusted:
            raise StepError(
                f"step '{step}' asks a language model, and a run of somebody else's fork asks none",
                next_step="leave it out there, with when: '{{ run.trusted }}', or approve the pull request",
            )
        with self._opening:
            if self._models is None:
                from maestro.execution.models import RunModels

                self._models = RunModels(self)
            return self._models.of(step, stop, seconds, tell)

    @cached_property
    def products(self) -> tuple[str, ...]:
        """Globs of files the workflow makes itself."""
        return products_of(self.loaded.workflow)

    def _files_now(self) -> Mapping[str, FileEntry]:
        return current_revision(self.project, products=self.products).files

    def close(self) -> None:
        """Kills what is left of the run's processes and saves what waits for the cache and the ledger."""
        self.processes.close()
        if self._models is not None:
            self._models.close()
        self.cache_writer.flush()
        if self._key_parts and not self.request.untrusted:
            LastKeys(self.project, self.project_name).save(self._key_parts, self.revision)

    @property
    def desk(self) -> EvidenceDesk | None:
        """Signs and verifies evidence; None while planning."""
        with self._opening:
            if self._desk is None and self.open_desk is not None:
                self._desk = self.open_desk()
            return self._desk

    def seal(self) -> str | None:
        """Logs why which models were asked, signs what the run has logged, gives it to the vault; what went wrong.

        That is no reason to fail a run whose statements are all kept: the log has the checkpoint, and gives it to the
        vault the next time.
        """
        problems = [None if self._models is None else self._models.audit()]
        try:
            if self._desk is not None:
                self._desk.close()
        except MaestroError as error:
            problems.append(
                f"what this run has logged is signed, but not in the vault: {error.what}; the next run that logs "
                "something brings it there, or `maestro audit checkpoint` does"
            )
        return "; ".join(filter(None, problems)) or None

    def note_key(self, resolved: Resolved) -> None:
        """Remembers what went into a step's cache key, for the next plan's explanations."""
        if resolved.cache_key is not None:
            with self._lock:
                self._key_parts[resolved.node.name] = resolved.key_parts

    @cached_property
    def _base_scope(self) -> dict[str, Any]:
        return base_scope(
            project_name=self.project_name,
            params=self.request.params,
            git=self._git,
            workspace=self.workspace,
            run_id=self.identity.root_run_id,
            trusted=not self.request.untrusted,
        )

    @property
    def git(self) -> Mapping[str, Any]:
        """``git`` in expressions."""
        found: Mapping[str, Any] = self._base_scope["git"]
        return found

    def scope(self, node: Node) -> dict[str, Any]:
        """Names an expression of ``node`` may use."""
        scope = {**self._base_scope, "matrix": dict(node.matrix)}
        declared = self.loaded.workflow.env
        scope["env"] = EnvScope(
            declared, lambda name, value: self.resolver.variables({name: value}, ("env",), scope)[name]
        )
        if node.final or self.resolver.needs_steps(node) or self.resolver.when_needs_steps(node):
            # What happened in this run is what a finally step asks about, not what some run made of the revision.
            scope["steps"] = steps_scope(self.graph, self.record_of_run if node.final else self.record_of)
        return scope

    def remember(self, record: StepRecord) -> None:
        """What a step of this run has left behind; its files are in the workspace."""
        with self._lock:
            self._made[record.step] = record
            self._in_place.add(record.step)
        self.quotas.add(record)
        self.records.save(record, of_revision=not self.request.untrusted)

    def record_of(self, name: str) -> StepRecord | None:
        """What a step left behind: in this run, in the runs it resumes, else at this revision."""
        with self._lock:
            known = self._made.get(name) or self._found.get(name)
        if known is not None:
            return known
        found = self._earlier(name) or self.records.of_revision(self.project_name, self.revision.id, name)
        if found is not None:
            with self._lock:
                self._found.setdefault(name, found)
        return found

    def record_of_run(self, name: str) -> StepRecord | None:
        """What a step left behind in this run or in the runs it resumes."""
        with self._lock:
            known = self._made.get(name)
        return known or self._earlier(name)

    def _earlier(self, name: str) -> StepRecord | None:
        runs = (self.identity.run_id, *self.identity.earlier)
        found = (self.records.of_run_step(run_id, name) for run_id in runs)
        return next((record for record in found if record is not None), None)

    def upstream(self, node: Node) -> dict[str, StepRecord]:
        """Records of what ``node`` waits for; those the plan left out are not among them.

        Raises:
            StepError: something under ``depends_on`` has no result for this revision.
        """
        found: dict[str, StepRecord] = {}
        for name in node.upstream:
            record = self.record_of(name)
            if record is not None:
                found[name] = record
                continue
            before = self.graph[name]
            optional = before.step.when is not None or before.stage_when is not None
            if before.id in node.step.depends_on and not optional:
                raise StepError(
                    f"step '{name}' has no result for revision {self.revision.id}",
                    next_step=f"run it first: maestro run {before.id}",
                )
        return found

    def records_before(self, node: Node) -> dict[str, StepRecord]:
        """Step name -> its record, of every step ``node`` waits for, directly or not, in the order of the workflow."""
        before = sorted(self.graph.ancestors([node.name]) - {node.name}, key=self._positions.__getitem__)
        found = {name: self.record_of(name) for name in before}
        return {name: record for name, record in found.items() if record is not None}

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {node.name: position for position, node in enumerate(self.graph)}

    @cached_property
    def source(self) -> Subject:
        """The revision, as a subject of evidence."""
        return source_subject(self.project, self.project_name, self.revision)

    def bring_upstream_files(self, node: Node) -> None:
        """Puts the outputs of everything ``node`` waits for into the workspace, when they are not there yet."""
        # One step at a time: a second one must not start before the files the first one brings are there.
        with self._bringing:
            for name in sorted(self.graph.ancestors([node.name]) - {node.name}):
                if name in self._in_place:
                    continue
                record = self.record_of(name)
                if record is not None:
                    restore(self.workspace, record.outputs, self.store)
                with self._lock:
                    self._in_place.add(name)

    def brought_files(self, node: Node) -> list[str]:
        """Paths of files that steps before ``node`` left in the workspace."""
        names = self.graph.ancestors([node.name]) - {node.name}
        records = [record for name in sorted(names) if (record := self.record_of(name)) is not None]
        return [one.path for record in records for one in record.outputs if one.path is not None]

    @property
    def secret_files(self) -> list[Path]:
        """Files secrets are read from; never visible in a sandbox."""
        return [self.project.root / source.path for source in self._secret_sources.values() if source.path]

    @property
    def private_folders(self) -> list[Path]:
        """Keys, secrets and results of this project and, on a server, of all others; never visible in a sandbox."""
        server = self.environ.get(_SERVER_HOME)
        return [self.project.home, *([Path(server)] if server else [])]

    @cached_property
    def _secret_sources(self) -> Mapping[str, SecretSource]:
        found = {
            name: SecretSource(provider=source.provider, variable=source.variable, path=source.path)
            for name, source in self.loaded.workflow.secret_sources.items()
        }
        folder = self.project.secrets
        return found if folder is None else {name: kept_apart(name, one, folder) for name, one in found.items()}

    def secrets_of(self, node: Node) -> SecretValues:
        """Environment variable -> value, of the secrets ``node`` names; from now on masked in the whole run."""
        named = node.step.secrets
        variables = {name: name for name in named} if isinstance(named, list) else dict(named)
        if variables and self.request.untrusted:
            raise StepError(
                f"step '{node.name}' names secrets, and a run of somebody else's fork gets none",
                next_step="leave it out there, with when: '{{ run.trusted }}', or approve the pull request",
            )
        values = self.secret_reader.read(variables.values())
        with self._lock:
            self._secret_values.update(values[name] for name in variables.values())
        return SecretValues({variable: values[name] for variable, name in variables.items()})

    @cached_property
    def secret_reader(self) -> SecretReader:
        """Reads the workflow's secrets."""
        return SecretReader(self.project.root, self.environ, self._secret_sources)

    @property
    def masker(self) -> Masker:
        """Hides every secret read in this run so far."""
        with self._lock:
            return Masker(sorted(self._secret_values))
