"""Runs a kind's function with its context: environment, secrets, processes, time limit."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maestro.artifacts import Artifact, StepRecord
from maestro.errors import MaestroError
from maestro.execution.errors import StepCancelledError, StepError, StepTimeoutError
from maestro.execution.log import StepLog
from maestro.execution.session import RunSession
from maestro.process import sandbox, without_credentials
from maestro.process.sandbox_links import remove_strays
from maestro.process.sandbox_view import remove_view
from maestro.steps import BaseParams, StepContext, StepKind, StepResult
from maestro.steps.kind import Completed


@dataclass(frozen=True, slots=True)
class Work:
    """One thing to run.

    Args:
        name: of the step, for messages.
        environment: declared variables, the step's secrets not among them.
        secrets: variable -> value.
        timeout: seconds; None: no limit.
        writable: in a sandbox, globs of what is copied back into the workspace.
        brought: in a sandbox, files of the workspace it sees besides those of the revision.
        records: of every step before it.
    """

    name: str
    kind: StepKind[BaseParams]
    params: BaseParams
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    timeout: float | None
    idempotency_key: str
    upstream: Mapping[str, Mapping[str, Artifact]]
    attempt: int = 1
    sandboxed: bool = False
    network: bool | Sequence[str] = False
    writable: Sequence[str] = ()
    brought: Sequence[str] = ()
    records: Mapping[str, StepRecord] = field(default_factory=dict)


def perform(session: RunSession, work: Work, log: StepLog, stop: threading.Event) -> tuple[StepResult, float]:
    """What the kind's function returns, and the dollars it reported as spent.

    Raises:
        StepTimeoutError, StepCancelledError: it was stopped.
        StepError: a tool is missing, or the kind itself broke.
    """
    missing = session.tools.missing(work.kind.requires(session.plan_context(work.name), work.params))
    if missing:
        raise StepError(
            f"step '{work.name}' needs {', '.join(one.tool for one in missing)}, not found on PATH",
            next_step="; ".join(one.install for one in missing),
        )
    home = session.project.ensure_home() / "scratch"
    home.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=home, prefix="step-"))
    spent: list[float] = []
    try:
        runner = _Runner(session, work, log, stop, scratch)
        logger = log.logger(work.name)
        context = StepContext(
            workspace=runner.workspace,
            scratch=scratch,
            log=logger,
            env=runner.environment,
            secrets=dict(work.secrets),
            artifacts=session.store,
            cancelled=stop,
            revision=session.revision.id,
            upstream=work.upstream,
            run_process=runner,
            idempotency_key=work.idempotency_key,
            spend=spent.append,
            which=session.tools.which,
            records=work.records,
            find_evidence=lambda: session.desk,
            find_source=lambda: session.source,
            workflow=session.loaded.workflow.name,
            required_evidence=session.loaded.workflow.required_evidence,
            history=session.history,
            find_models=lambda: session.models_of(work.name, stop, runner.seconds_left, logger.info),
        )
        result = work.kind.run(context, work.params)
        runner.finish()
        return result, sum(spent) + result.cost_usd
    except MaestroError:
        raise
    except Exception as error:
        raise StepError(
            f"step kind '{work.kind.name}' broke: {type(error).__name__}: {error}",
            next_step="this is a defect of the kind; report it with the step's log",
        ) from error
    finally:
        remove_view(scratch)


class _Runner:
    """The ``run_process`` of one step."""

    def __init__(self, session: RunSession, work: Work, log: StepLog, stop: threading.Event, scratch: Path) -> None:
        self._session = session
        self._work = work
        self._log = log
        self._stop = stop
        self._scratch = scratch
        self._deadline = None if work.timeout is None else time.monotonic() + work.timeout
        self._box = (
            sandbox.Sandbox.prepare(
                workspace=session.workspace,
                files=sorted({*session.revision.files, *work.brought}),
                scratch=scratch,
                network=work.network,
                which=session.tools.which,
                hidden=session.secret_files,
                masked=session.private_folders,
            )
            if work.sandboxed
            else None
        )
        self.workspace = self._box.view if self._box else session.workspace
        self._sweep()
        inherited = session.base_environment
        self.environment = {
            **(without_credentials(inherited) if session.request.untrusted else inherited),
            "CI": "true",
            "MAESTRO": "true",
            "MAESTRO_RUN_ID": session.identity.run_id,
            "MAESTRO_REVISION": session.revision.id,
            "MAESTRO_STEP": work.name,
            "MAESTRO_ATTEMPT": str(work.attempt),
            "MAESTRO_IDEMPOTENCY_KEY": work.idempotency_key,
            **work.environment,
            **work.secrets,
        }

    def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
    ) -> Completed:
        """See ``maestro.steps.kind.RunProcess``."""
        self._check_stopped()
        folder = cwd or self.workspace
        command: Sequence[str] = argv
        environment = {**self.environment, **(env or {})}
        if self._box:
            command, environment = self._box.command(argv, cwd=folder, env=environment)
        remaining = self.seconds_left
        try:
            done = self._session.processes.run(
                command,
                cwd=folder,
                env=environment,
                stdout=self._log.descriptor if stdout is None else stdout,
                stderr=self._log.descriptor,
                timeout=remaining,
                stop=self._stop,
            )
        finally:
            self._sweep()
        if done.leftovers:
            self._log.line(f"ended {done.leftovers} process(es) the step had left running")
        if done.timed_out:
            raise StepTimeoutError(
                f"step '{self._work.name}' took longer than its timeout of {self._work.timeout:g} s",
                next_step="raise its timeout, or make it quicker",
            )
        self._check_stopped()
        return Completed(done.exit_code, done.seconds)

    @property
    def seconds_left(self) -> float | None:
        """Of the step's time; None: it has no limit."""
        return None if self._deadline is None else max(0.01, self._deadline - time.monotonic())

    def _sweep(self) -> None:
        """Before the kind's function reads or writes what a sandboxed process could have prepared."""
        if self._box:
            for stray in remove_strays(self._scratch, (self._session.workspace,)):
                self._log.line(f"took away {stray.name}, which leads out of what the step may see, or is no file")

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise StepCancelledError(f"step '{self._work.name}' was stopped because the run is being cancelled")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise StepTimeoutError(f"step '{self._work.name}' took longer than its timeout of {self._work.timeout:g} s")

    def finish(self) -> None:
        """Copies a sandbox's outputs back."""
        if self._box:
            self._box.collect(self._work.writable)
