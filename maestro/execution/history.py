"""What git knows of a run's revision: its base, the difference to it, the commits since."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.errors import InputError
from maestro.execution.scope import GitScope
from maestro.project import Project, Revision
from maestro.project.git import GitError
from maestro.project.revision import object_git

# Neither of these may be decided by what the repository says of itself: its attributes name programs.
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
_CUT = "\n[the difference is longer than {most} bytes; the rest is left out]\n"


@dataclass(frozen=True)
class GitHistory:
    """The history of one revision; ``maestro.steps.History``."""

    project: Project
    revision: Revision
    git: GitScope

    @property
    def base(self) -> str | None:
        """The commit ``changed()`` compares with."""
        return self.git.base

    def diff(self, since: str | None = None, *, most_bytes: int = 5_000_000) -> str:
        """The unified diff from ``since`` to the revision; everything is new where there is nothing to compare with.

        Raises:
            InputError: ``since`` is no commit of this repository.
        """
        data = self._ask("diff-tree", "-r", "-p", "-M", *_PLAIN, self._from(since), self.revision.tree)
        text = data[:most_bytes].decode("utf-8", "replace")
        return text + _CUT.format(most=most_bytes) if len(data) > most_bytes else text

    def changed_files(self, since: str | None = None) -> list[str]:
        """Paths that differ, sorted.

        Raises:
            InputError: ``since`` is no commit of this repository.
        """
        data = self._ask("diff-tree", "-r", "-z", "--name-only", "--no-renames", self._from(since), self.revision.tree)
        return sorted(path.decode("utf-8", "replace") for path in data.split(b"\0") if path)

    def log(self, since: str | None = None, *, most: int = 500) -> str:
        """Commits after ``since``, the newest first; all of them (the newest ``most``) without anything to begin at.

        Raises:
            InputError: ``since`` is no commit of this repository.
        """
        head = self.revision.head
        if head is None:
            return ""
        begin = self._commit(since) if since else self.base
        reach = f"{begin}..{head}" if begin else head
        form = "%h %s%n%w(0,2,2)%b"
        return self._ask("log", f"--max-count={most}", "--no-decorate", f"--format={form}", reach).decode(
            "utf-8", "replace"
        )

    def _from(self, since: str | None) -> str:
        begin = self._commit(since) if since else self.base
        # The empty tree; its id depends on the repository's hash.
        return begin or self._ask("hash-object", "-t", "tree", "--stdin", input_bytes=b"").decode().strip()

    def _commit(self, name: str) -> str:
        found = self.project.git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if not found:
            raise InputError(
                f"there is no revision '{name}' to begin at",
                next_step="fetch it (git fetch --tags), or name another under 'since'",
            )
        return found

    def _ask(self, *arguments: str, input_bytes: bytes | None = None) -> bytes:
        try:
            return object_git(self.project)(*arguments, input_bytes=input_bytes)
        except GitError as error:
            raise InputError(
                f"the history of {self.revision.id[:12]} cannot be read: {error.what}",
                next_step="fetch more of it: git fetch --unshallow",
            ) from error
