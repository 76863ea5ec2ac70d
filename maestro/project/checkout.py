"""A checkout of any revision, beside the person's own: ``git worktree``, removed after use."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maestro.project.git import Git
from maestro.project.project import Project
from maestro.project.revision import Revision, object_git


@contextmanager
def checkout(project: Project, revision: Revision) -> Iterator[Path]:
    """A folder with the files of ``revision``, gone when the block ends.

    A commit is a detached worktree of it. An uncommitted tree is a worktree of the commit it was based on with the
    changes uncommitted again, so that git inside it answers as it did then.
    """
    folder = project.ensure_home() / "worktrees"
    folder.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=folder, prefix=f"{revision.id[:20]}-"))
    try:
        if revision.head is None:
            _write_files(project, revision, path)
        else:
            _add_worktree(project, revision, path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        project.git.ask("worktree", "prune")


def _add_worktree(project: Project, revision: Revision, path: Path) -> None:
    assert revision.head is not None
    arguments = ["worktree", "add", "--force", "--detach", "--quiet"]
    if not revision.dirty:
        project.git(*arguments, str(path), revision.head)
        return
    project.git(*arguments, "--no-checkout", str(path), revision.head)
    _write_files(project, revision, path)
    Git(path)("reset", "--quiet")


def _write_files(project: Project, revision: Revision, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=project.home, prefix="index-") as folder:
        git = object_git(project).with_environment({"GIT_INDEX_FILE": str(Path(folder) / "index")})
        git("read-tree", revision.tree)
        git("checkout-index", "--all", "--force", f"--prefix={path}/")
