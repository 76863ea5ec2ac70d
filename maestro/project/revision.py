"""Which revision a checkout stands at, and the files of that revision.

A clean tree is its commit. An uncommitted tree is ``worktree-<digest>``: its content, tracked and untracked files
alike, is written as git objects into Maestro's own folder (never into the repository), so that the same tree can be
checked out again later.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError
from maestro.project.git import Git, GitError, parse_records
from maestro.project.project import Project

_SNAPSHOT = re.compile(r"worktree-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a revision: its git mode (``100644``, ``100755``, ``120000``) and the id of its content.

    Content ids are git's own (SHA-1 with collision detection, or SHA-256 repositories): git has them at hand for every
    file that did not change, so nothing is read twice.
    """

    mode: str
    blob: str


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit of a project, or an uncommitted tree.

    Args:
        id: the commit, or ``worktree-<digest>``.
        head: the commit the tree is based on; None in a repository without commits.
        branch: the branch checked out, None when detached or unknown.
        tree: git tree id.
        files: path -> entry, every file of the revision.
    """

    id: str
    head: str | None
    branch: str | None
    tree: str
    files: Mapping[str, FileEntry]

    @property
    def dirty(self) -> bool:
        """True for an uncommitted tree."""
        return self.id.startswith("worktree-")


def current_revision(project: Project, *, products: Sequence[str] = ()) -> Revision:
    """The revision the checkout stands at.

    Args:
        project: the repository.
        products: globs of files the workflow makes itself; they are never part of a revision.

    Raises:
        InputError: files of Maestro's own state are in git.
    """
    git = project.git
    if project.home.is_dir():
        project.ensure_home()  # One that a cache of somebody's CI brought back does not ignore itself yet.
    head, branch, changed = _status(git, products)
    if head is not None and not changed:
        files = _index_files(git)
        project.refuse_committed_state(files)
        return Revision(head, head, branch, git.text("rev-parse", "HEAD^{tree}"), files)
    revision = _snapshot(project, head, branch, products)
    project.refuse_committed_state(revision.files)
    return revision


def _pathspecs(products: Sequence[str]) -> list[str]:
    return ["--", ".", *(f":(exclude,glob){pattern}" for pattern in products)]


def _status(git: Git, products: Sequence[str]) -> tuple[str | None, str | None, bool]:
    records = parse_records(
        git("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", *_pathspecs(products))
    )
    headers = dict(record[2:].split(" ", 1) for record in records if record.startswith("# ") and " " in record[2:])
    changed = any(not record.startswith("# ") for record in records)
    head = headers.get("branch.oid")
    branch = headers.get("branch.head")
    return (
        None if head in (None, "(initial)") else head,
        None if branch in (None, "(detached)") else branch,
        changed,
    )


def _index_files(git: Git) -> dict[str, FileEntry]:
    found: dict[str, FileEntry] = {}
    for record in parse_records(git("ls-files", "--stage", "-z")):
        about, path = record.split("\t", 1)
        mode, blob, _stage = about.split(" ")
        found[path] = FileEntry(mode, blob)
    return found


def _objects_environment(project: Project) -> dict[str, str]:
    """Variables that make git write new objects into Maestro's folder and read the repository's as well."""
    objects = project.ensure_home() / "git" / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    common = project.root / project.git.text("rev-parse", "--git-path", "objects")
    return {"GIT_OBJECT_DIRECTORY": str(objects), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(common)}


def _snapshot(project: Project, head: str | None, branch: str | None, products: Sequence[str]) -> Revision:
    environment = _objects_environment(project)
    with tempfile.TemporaryDirectory(dir=project.home, prefix="index-") as folder:
        index = Path(folder) / "index"
        own = project.root / project.git.text("rev-parse", "--git-path", "index")
        if own.exists():
            # With its time: by that git knows which files were written too shortly before to be told by their own.
            shutil.copy2(own, index)
        git = project.git.with_environment({**environment, "GIT_INDEX_FILE": str(index)})
        _add_changes(git, products)
        tree = git.text("write-tree")
        files = _index_files(git)
    revision = Revision(f"worktree-{tree[:16]}", head, branch, tree, files)
    _remember(project, revision)
    return revision


def _add_changes(git: Git, products: Sequence[str]) -> None:
    """Brings git's index up with the files there are.

    Not by ``git add --all``: it refuses a product in an ignored folder, though it is named only to be left out.
    """
    paths = _pathspecs(products)
    git("add", "--update", *paths)
    listed = git("ls-files", "--others", "--exclude-standard", "-z", *paths).split(b"\0")
    new = [path for path in listed if path and not path.endswith(b"/")]
    # A folder that is a repository of its own ends with a slash; its commit stands for it, once it has one.
    inner = [path[:-1] for path in listed if path.endswith(b"/")]
    new += [path for path in inner if Git(git.root / os.fsdecode(path)).ask("rev-parse", "--verify", "-q", "HEAD")]
    if new:
        git("update-index", "--add", "--replace", "-z", "--stdin", input_bytes=b"\0".join([*new, b""]))


def _remember(project: Project, revision: Revision) -> None:
    folder = project.home / "git" / "snapshots"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{revision.id}.json"
    if file.exists():
        return
    about = {"tree": revision.tree, "head": revision.head, "branch": revision.branch}
    temporary = folder / f".{revision.id}.{os.getpid()}-{threading.get_ident()}"
    temporary.write_text(json.dumps(about), encoding="utf-8")
    temporary.replace(file)


def object_git(project: Project) -> Git:
    """Git that sees the repository's objects and those of remembered uncommitted trees."""
    return project.git.with_environment(_objects_environment(project))


def revision_of(project: Project, name: str) -> Revision:
    """The revision ``name`` stands for: a commit, branch, tag, or a remembered ``worktree-<digest>``.

    Raises:
        InputError: there is no such commit, or the uncommitted tree was not kept.
    """
    if _SNAPSHOT.fullmatch(name):
        file = project.home / "git" / "snapshots" / f"{name}.json"
        if not file.exists():
            raise InputError(
                f"the uncommitted tree '{name}' is not kept on this machine",
                next_step="name a commit, or run it where the tree was made",
            )
        about = json.loads(file.read_text(encoding="utf-8"))
        head, branch, tree = about["head"], about["branch"], about["tree"]
        return Revision(name, head, branch, tree, _tree_files(object_git(project), tree))
    commit, branch = _commit(project.git, name)
    if not commit:
        raise InputError(
            f"there is no revision '{name}' in {project.root}",
            next_step="fetch it (git fetch), or name a commit, branch or tag of this repository",
        )
    tree = project.git.text("rev-parse", f"{commit}^{{tree}}")
    return Revision(commit, commit, branch, tree, _tree_files(project.git, commit))


def _commit(git: Git, name: str) -> tuple[str | None, str | None]:
    """The commit ``name`` stands for, and its name if that is a branch; a bare mirror has its origin's."""
    commit = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if commit:
        known = git.ask("show-ref", "--verify", "--quiet", f"refs/heads/{name}") is not None
        return commit, name if known else None
    tracked = f"refs/remotes/origin/{name}"
    if git.ask("rev-parse", "--is-bare-repository") != "true":
        return None, None
    return git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{tracked}^{{commit}}"), name


def _tree_files(git: Git, treeish: str) -> dict[str, FileEntry]:
    found: dict[str, FileEntry] = {}
    try:
        records = parse_records(git("ls-tree", "-r", "-z", "--full-tree", treeish))
    except GitError as error:
        raise InputError(
            f"the files of revision '{treeish}' cannot be read: {error.what}",
            next_step="the commit may have been removed by a force-push and garbage collection; name another",
        ) from error
    for record in records:
        about, path = record.split("\t", 1)
        mode, _kind, blob = about.split(" ")
        found[path] = FileEntry(mode, blob)
    return found
