"""Runs a step kind as the executor would, with real processes and without the executor."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maestro.artifacts import Artifact, ArtifactStore, StepRecord, Subject
from maestro.evidence.desk import EvidenceDesk
from maestro.steps import PlanContext, StepContext, StepKind, StepResult
from maestro.steps.kind import Completed


@dataclass
class Harness:
    """A workspace and what the last step printed.

    Args:
        workspace: the checkout.
        private: holds the scratch folders and the artifact store.
        env: added to the environment of processes.
        argv: every command that was run.
        secrets: the step's secrets; they are in the environment of its processes, too.
        upstream: outputs of steps this one depends on.
        records: what the steps before it did.
        desk: signs and judges; None: the step has no project.
        source: the revision as a subject.
        required_evidence: of the project's contract.
    """

    workspace: Path
    private: Path
    env: dict[str, str] = field(default_factory=dict)
    log: str = ""
    argv: list[list[str]] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    upstream: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    records: dict[str, StepRecord] = field(default_factory=dict)
    desk: EvidenceDesk | None = None
    source: Subject = field(default_factory=lambda: Subject("shop", {"gitCommit": "0" * 40}))
    required_evidence: Sequence[str] = ()
    revision: str = "0" * 40

    @property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore.open(str(self.private / "store"))

    def write(self, files: Mapping[str, str]) -> Harness:
        for name, text in files.items():
            place = self.workspace / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return self

    def run(self, kind: StepKind[Any], /, **params: Any) -> StepResult:
        scratch = Path(tempfile.mkdtemp(dir=self.private, prefix="scratch-"))
        printed = self.private / "log"
        printed.unlink(missing_ok=True)
        logger = logging.Logger(kind.name)
        handler = logging.FileHandler(printed, encoding="utf-8")
        logger.addHandler(handler)
        # What the outer test run sets must not reach the inner one.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MAESTRO_"))}
        env = {**inherited, **self.env, **self.secrets}

        def run_process(
            argv: Sequence[str],
            *,
            cwd: Path | None = None,
            env: Mapping[str, str] | None = None,
            stdout: Path | None = None,
        ) -> Completed:
            self.argv.append(list(argv))
            with printed.open("ab") as log, (stdout or printed).open("ab") as out:
                done = subprocess.run(
                    argv,
                    cwd=cwd or self.workspace,
                    env={**context.env, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    check=False,
                )
            return Completed(done.returncode, 0.0)

        context = StepContext(
            workspace=self.workspace,
            scratch=scratch,
            log=logger,
            env=env,
            secrets=dict(self.secrets),
            artifacts=self.artifacts,
            cancelled=threading.Event(),
            revision=self.revision,
            upstream=self.upstream,
            run_process=run_process,
            idempotency_key="key",
            spend=lambda _usd: None,
            which=lambda name: shutil.which(name, path=env.get("PATH")),
            records=self.records,
            find_evidence=lambda: self.desk,
            find_source=lambda: self.source,
            workflow="delivery",
            required_evidence=self.required_evidence,
        )
        try:
            return kind.run(context, kind.params.model_validate(params))
        finally:
            handler.close()
            self.log = printed.read_text("utf-8", errors="replace") if printed.exists() else ""
            shutil.rmtree(scratch)

    def requires(self, kind: StepKind[Any], /, **params: Any) -> list[str]:
        context = PlanContext(self.workspace, shutil.which)
        return [one.tool for one in kind.requires(context, kind.params.model_validate(params))]


def harness(folder: Path) -> Harness:
    """A harness with an empty workspace, everything beneath ``folder``."""
    workspace, private = folder / "workspace", folder / "private"
    workspace.mkdir()
    private.mkdir()
    return Harness(workspace, private)
