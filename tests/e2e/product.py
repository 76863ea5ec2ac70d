"""A git repository Maestro is pointed at, and the real programs (maestro, dagster) run on it as a person runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster import AssetKey, AssetRecordsFilter, DagsterInstance, EventLogEntry

from maestro.artifacts import ArtifactStore, RecordStore, StepRecord
from maestro.profile import load_profile
from maestro.project import Project
from maestro_defs.instance import dagster_home, open_instance
from maestro_defs.partitions import revisions_name
from tests import forked_maestro

CHECKOUT = Path(__file__).resolve().parents[2]
WORKSPACE = CHECKOUT / "workspace.yaml"
_LIMIT_SECONDS = 300
_GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Product:
    """A repository, its state in ``.maestro``, and what was delivered.

    Args:
        environment: variables added for every program.
    """

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls, root: Path, files: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Product:
        """An empty repository with ``files`` committed."""
        root.mkdir(parents=True)
        made = cls(root, environment or {})
        made.git("init", "-q", "-b", "main")
        made.write(files)
        made.commit()
        return made

    @property
    def project(self) -> Project:
        return Project.find(self.root, environ={})

    @property
    def programs_environment(self) -> dict[str, str]:
        """As in the terminal of a person who has set nothing up, with this checkout's programs first.

        But without a warm process: each would be left with 100 MiB for a quarter of an hour, or until its folder goes.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAESTRO_", "DAGSTER_"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        programs = Path(sys.executable).parent
        more = {"PATH": f"{programs}{os.pathsep}{kept['PATH']}", "NO_COLOR": "1", "MAESTRO_WARM": "off"}
        return {**kept, **more, **self.environment}

    @property
    def dagster_environment(self) -> dict[str, str]:
        """For Dagster's own programs: where the project's state is, and which project it is."""
        home = dagster_home(self.project, load_profile("default"))
        paths = os.pathsep.join(one for one in (str(CHECKOUT), os.environ.get("PYTHONPATH")) if one)
        about = {"DAGSTER_HOME": str(home), "MAESTRO_PROJECT": str(self.root), "PYTHONPATH": paths}
        return {**self.programs_environment, **about}

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # In one step: whoever watches must not read half of it.
            whole = self.root.with_name(f".{self.root.name}.new")
            whole.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
            whole.replace(path)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **_GIT_IDENTITY},
        )
        return done.stdout.strip()

    def commit(self) -> str:
        """Commits everything; the new commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change", "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def worktrees(self) -> list[str]:
        """Folders of all worktrees git knows of."""
        lines = self.git("worktree", "list", "--porcelain").splitlines()
        return [line.removeprefix("worktree ") for line in lines if line.startswith("worktree ")]

    def maestro(self, *arguments: str) -> Ended:
        """``maestro ARGUMENTS`` in a process of its own, whose libraries were imported before."""
        done = forked_maestro.completed(*arguments, cwd=self.root, env=self.programs_environment)
        return Ended(done.returncode, done.stdout, done.stderr)

    def installed(self, *arguments: str) -> Ended:
        """``maestro ARGUMENTS`` as a shell starts it."""
        return self._program("maestro", *arguments, env=self.programs_environment, cwd=self.root)

    def dagster(self, *arguments: str) -> Ended:
        return self._program("dagster", *arguments, env=self.dagster_environment, cwd=CHECKOUT)

    @staticmethod
    def _program(name: str, *arguments: str, env: Mapping[str, str], cwd: Path) -> Ended:
        done = subprocess.run(
            [str(Path(sys.executable).with_name(name)), *arguments],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def deliver(self, *arguments: str) -> dict[str, Any]:
        """``maestro run``, which must succeed; the run as its ``--json`` tells it."""
        return self._delivered(self.maestro("run", "--json", *arguments))

    def deliver_installed(self, *arguments: str) -> dict[str, Any]:
        """``deliver`` by the program as a shell starts it."""
        return self._delivered(self.installed("run", "--json", *arguments))

    @staticmethod
    def _delivered(ended: Ended) -> dict[str, Any]:
        assert ended.code == 0, ended.text
        run: dict[str, Any] = ended.json()
        return run

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        with open_instance(self.project, load_profile("default")) as instance:
            yield instance

    def revisions(self, instance: DagsterInstance) -> list[str]:
        """The project's partitions, in the order they were delivered."""
        return list(instance.get_dynamic_partitions(revisions_name(self.project.default_name())))

    @staticmethod
    def materializations(instance: DagsterInstance, key: AssetKey) -> list[EventLogEntry]:
        """Every materialization of an asset, oldest first."""
        found = instance.fetch_materializations(AssetRecordsFilter(asset_key=key), limit=1000, ascending=True)
        return [record.event_log_entry for record in found.records]

    def store(self) -> ArtifactStore:
        return ArtifactStore.open(str(self.project.home / "artifacts"))

    def records(self, run_id: str) -> dict[str, StepRecord]:
        """Step -> what a run recorded of it."""
        return {record.step: record for record in RecordStore(self.store()).of_run(run_id)}

    def log(self, record: StepRecord) -> str:
        """What the step wrote."""
        assert record.log is not None
        return self.store().get_bytes(record.log.sha256).decode()
