"""What the programs of a server share on Dagster's side: the instance, and each project's workflow at any revision."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster import DagsterInstance

from maestro.artifacts import ArtifactStore
from maestro.errors import InputError
from maestro.execution.request import Bounds
from maestro.github.access import GitHubAccess
from maestro.mirror import Mirror, remove_worktree, token_environment, worktree
from maestro.profile import Profile, load_profile
from maestro.project import Project
from maestro.server.database import open_engine
from maestro.server.home import HOME_VARIABLE, ServerHome
from maestro.server.projects import Projects, RegisteredProject
from maestro.server.references import read_reference
from maestro.steps import Registry
from maestro.triggers.model import DEFAULT_REF
from maestro.workflow.load import LoadedWorkflow, load_text
from maestro_defs.connections import kept_connections
from maestro_defs.instance import open_home, prepare_home
from maestro_defs.patience import patient
from maestro_defs.trust import trusted
from resources.delivery import Source


class Server:
    """One server's state, opened where it is first needed; of one process, never used across a fork."""

    def __init__(self, home: ServerHome) -> None:
        self.home = home
        self._stores: dict[str, ArtifactStore] = {}

    @cached_property
    def engine(self) -> sa.Engine:
        """Of the server's own tables."""
        return open_engine(self.home.database_url)

    @cached_property
    def projects(self) -> Projects:
        """The registry of projects."""
        return Projects(self.engine)

    @cached_property
    def profile(self) -> Profile:
        """Of Maestro and of Dagster."""
        return load_profile(self.home.settings.profile)

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        """The Dagster instance, with its connections kept open.

        Raises:
            MaestroError: its storage does not answer.
        """
        # The profile's dagster.yaml names the home by this variable.
        os.environ[HOME_VARIABLE] = str(self.home.folder)
        home = prepare_home(self.home.dagster, self.profile)
        with open_home(home, self.profile) as instance, kept_connections(instance), patient(instance):
            yield instance

    @cached_property
    def github(self) -> GitHubAccess:
        """What the server is allowed at GitHub."""
        return GitHubAccess(self.home.settings.github)

    def mirror(self, project: RegisteredProject) -> Mirror:
        """The project's mirror; git gets its credentials by environment, asked for anew for each call."""
        folder = self.home.mirrors / f"{project.name}.git"
        return Mirror(folder, project.url, lambda: self._credentials(project), depth=project.depth)

    def _credentials(self, project: RegisteredProject) -> Mapping[str, str]:
        if not project.url.startswith("https:"):
            return {}  # A path, or ssh, which has keys of its own.
        if project.provider == "github":
            token = self.github.fetch_token(project)
            return token_environment(project.url, token) if token else {}
        if project.credentials is None:
            return {}
        token = read_reference(project.credentials)
        return token_environment(
            project.url, token, user="oauth2" if project.provider == "gitlab" else "x-access-token"
        )

    def store(self, project: RegisteredProject) -> ArtifactStore:
        """The project's artifact store, opened once."""
        if project.name not in self._stores:
            url = self.profile.settings.artifacts
            folder = self.project(project).ensure_home() / "artifacts"
            self._stores[project.name] = ArtifactStore.open(url or str(folder))
        return self._stores[project.name]

    def project(self, project: RegisteredProject) -> Project:
        """As the rest of Maestro knows it: its repository is the mirror, its state a folder of the server's home."""
        root = self.home.mirrors / f"{project.name}.git"
        home = self.home.projects / project.name
        return Project(root, root / project.workflow_file, home, home / "secrets")

    def workflow(self, project: RegisteredProject, sha: str) -> LoadedWorkflow:
        """The workflow of a revision that is in the mirror.

        Raises:
            InputError: the revision has no workflow file, or it is wrong.
        """
        text = self.mirror(project).read(sha, project.workflow_file)
        if text is None:
            raise InputError(
                f"revision {sha[:12]} has no {project.workflow_file}",
                next_step="add one: `maestro init` writes a first version",
            )
        return loaded_from(text, project.workflow_file)

    def source(
        self, project: RegisteredProject, loaded: LoadedWorkflow, params: Mapping[str, Any] | None = None
    ) -> Source:
        """What a run, or a code location, is compiled from."""
        # Assets are called after the registered name, whatever a revision of the file calls its project.
        named = loaded.workflow.model_copy(update={"project": project.name})
        source = Source.load(
            self.project(project),
            self.profile,
            registry=registry(),
            loaded=LoadedWorkflow(named, loaded.file, loaded.document, loaded.params_models),
            params=params,
        )
        mirror = self.mirror(project)
        return replace(
            source,
            trusts=lambda run, instance: trusted(run, instance, project.name, mirror),
            checked_out=lambda revision, trusted: self._checked_out(project, revision.id, trusted),
            bounds=Bounds(self.home.settings.forks.network, self.home.settings.forks.step_seconds),
            tenant=project.tenant,
        )

    @contextmanager
    def _checked_out(self, project: RegisteredProject, sha: str, trusted: bool) -> Iterator[Path]:
        """A checkout for a run nobody made one for: git obeys nothing in it, as in those the conductor makes."""
        folder = self.project(project).ensure_home() / "worktrees"
        folder.mkdir(exist_ok=True)
        path = Path(tempfile.mkdtemp(dir=folder, prefix=f"{sha[:12]}-"))
        mirror = self.mirror(project)
        try:
            yield worktree(mirror, sha, path, submodules=project.submodules, lfs=project.lfs, strange=not trusted)
        finally:
            remove_worktree(path)

    def default_revision(self, project: RegisteredProject) -> str:
        """The commit the default branch stands at, which the mirror has then.

        Raises:
            MaestroError: the repository cannot be reached, or the branch is not there.
        """
        return self.tip(project, DEFAULT_REF)

    def default_branch(self, project: RegisteredProject) -> str:
        """Name of the branch runs of the project are compared with."""
        return project.default_branch or self.mirror(project).default_branch()

    def tip(self, project: RegisteredProject, ref: str) -> str:
        """The commit ``ref`` stands for now at the origin, which the mirror has then.

        Args:
            ref: ``refs/heads/main``, ``refs/tags/v1``; ``HEAD`` is the default branch.

        Raises:
            MaestroError: the repository cannot be reached, or has no such ref.
        """
        mirror = self.mirror(project)
        ref = f"refs/heads/{self.default_branch(project)}" if ref == DEFAULT_REF else ref
        sha = mirror.head(ref)
        mirror.ensure(sha, ref)
        return mirror.peel(sha)


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The step kinds that are installed, found once a process."""
    return Registry()


@lru_cache(maxsize=256)
def loaded_from(text: bytes, file: str) -> LoadedWorkflow:
    """The workflow in ``text``: the same for every revision with the same file.

    Raises:
        InputError: it is wrong.
    """
    return load_text(text, file=Path(file).name, registry=registry())
