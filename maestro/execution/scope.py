"""What expressions see: ``params``, ``git``, ``matrix``, ``env``, ``files``, ``steps`` and ``changed(...)``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from maestro.artifacts import StepRecord
from maestro.errors import InputError
from maestro.execution.inputs import matches
from maestro.project import Project, Revision
from maestro.project.revision import object_git
from maestro.workflow.graph import Graph

_GIT_NAMES = ("sha", "short_sha", "branch", "tag", "dirty", "author", "message", "base")


class GitScope(Mapping[str, Any]):
    """``git`` in expressions; what needs another call to git is asked only when it is used."""

    def __init__(self, project: Project, revision: Revision, base: str | None) -> None:
        self._project = project
        self._revision = revision
        self._base = base

    def __getitem__(self, name: str) -> Any:
        revision = self._revision
        match name:
            case "sha":
                return revision.id
            case "short_sha":
                return revision.id[:16] if revision.dirty else revision.id[:8]
            case "branch":
                return revision.branch or ""
            case "dirty":
                return revision.dirty
            case "tag":
                if revision.head is None or revision.dirty:
                    return ""
                return self._project.git.ask("describe", "--tags", "--exact-match", revision.head) or ""
            case "author":
                return self._log("%an <%ae>")
            case "message":
                return self._log("%s")
            case "base":
                return self.base or ""
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_GIT_NAMES)

    def __len__(self) -> int:
        return len(_GIT_NAMES)

    def _log(self, form: str) -> str:
        if self._revision.head is None:
            return ""
        return self._project.git.ask("log", "-1", f"--format={form}", self._revision.head) or ""

    @cached_property
    def base(self) -> str | None:
        """The commit ``changed()`` compares with; None when there is none, and then everything has changed.

        The base given for the run; else where the branch left the default branch; else the commit before.

        Raises:
            InputError: the base given is not a commit of this repository.
        """
        git, head = self._project.git, self._revision.head
        if self._base:
            commit = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{self._base}^{{commit}}")
            if not commit:
                raise InputError(
                    f"there is no revision '{self._base}' to compare with",
                    next_step="fetch it, or name another with --base",
                )
            return commit
        if head is None:
            return None
        for default in ("origin/HEAD", "origin/main", "origin/master", "main", "master"):
            fork = git.ask("merge-base", default, head)
            if fork and fork != head:
                return fork
        return git.ask("rev-parse", "--verify", "--quiet", f"{head}^")

    @cached_property
    def changed_files(self) -> tuple[str, ...] | None:
        """Paths that differ from the base; None when there is no base."""
        if self.base is None:
            return None
        git = object_git(self._project)
        data = git("diff-tree", "-r", "-z", "--name-only", "--no-renames", self.base, self._revision.tree)
        return tuple(path.decode("utf-8", "surrogateescape") for path in data.split(b"\0") if path)

    def changed(self, *globs: str) -> bool:
        """True when a file that matches one of ``globs`` differs from the base."""
        files = self.changed_files
        if files is None:
            return True
        return any(True for _ in matches(files, globs))


class FilesScope(Mapping[str, Mapping[str, str]]):
    """``files['path'].hash``: sha256 of a file's bytes, hexadecimal."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace

    def __getitem__(self, name: str) -> Mapping[str, str]:
        path = (self._workspace / name).resolve()
        if not path.is_relative_to(self._workspace.resolve()):
            raise InputError(f"files['{name}'] lies outside the repository", next_step="name a file inside it")
        if not path.is_file():
            raise InputError(f"files['{name}']: there is no such file", next_step="correct the path")
        return {"hash": hashlib.sha256(path.read_bytes()).hexdigest()}

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class EnvScope(Mapping[str, str]):
    """``env`` in expressions: the workflow's own ``env``, each variable evaluated when it is asked for.

    Not the environment of Maestro itself: that may hold secrets, which reach only steps that name them.
    """

    def __init__(self, declared: Mapping[str, Any], render: Callable[[str, Any], str]) -> None:
        self._declared = declared
        self._render = render
        self._open: list[str] = []

    def __getitem__(self, name: str) -> str:
        if name not in self._declared:
            raise KeyError(name)
        if name in self._open:
            raise InputError(
                f"variable '{name}' of 'env' is made from itself: {' -> '.join([*self._open, name])}",
                next_step="break the circle",
            )
        self._open.append(name)
        try:
            return self._render(name, self._declared[name])
        finally:
            self._open.pop()

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)


def steps_scope(graph: Graph, record_of: Callable[[str], StepRecord | None]) -> dict[str, Any]:
    """``steps`` in expressions: step id -> ``outputs``, ``metadata``, ``passed``; ``cells`` by cell for a matrix.

    A step that has not run is there too, with nothing in it and ``passed`` false: a ``finally`` step asks about it.
    """
    found: dict[str, Any] = {}
    for node in graph:
        record = record_of(node.name)
        one: dict[str, Any] = {"outputs": {}, "metadata": {}, "passed": False}
        if record is not None:
            one = {"outputs": outputs_of(record), "metadata": dict(record.metadata), "passed": record.passed}
        if node.cell is None:
            found[node.id] = one
        else:
            step = found.setdefault(node.id, {"cells": {}, "passed": True})
            step["cells"][node.cell] = one
            step["passed"] = step["passed"] and one["passed"]
    return found


def outputs_of(record: StepRecord) -> dict[str, Any]:
    """Output name -> its path in the workspace, or its value."""
    return {**{artifact.name: artifact.path or artifact.name for artifact in record.outputs}, **record.values}


def base_scope(
    *,
    project_name: str,
    params: Mapping[str, Any],
    git: GitScope,
    workspace: Path,
    run_id: str,
    trusted: bool = True,
) -> dict[str, Any]:
    """Everything but ``matrix`` and ``steps``, which differ from step to step."""
    return {
        "params": dict(params),
        "git": git,
        "files": FilesScope(workspace),
        "changed": git.changed,
        "project": project_name,
        "run": {"id": run_id, "revision": git["sha"], "trusted": trusted},
        "matrix": {},
        "steps": {},
    }
