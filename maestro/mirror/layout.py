"""A repository around one revision: laid out by hand (gitrepository-layout(5)), checked out by one call of git.

``git init`` and ``git worktree add`` start three programs more, and the latter shares references and settings with
the mirror, where a step could change them for every other run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError
from maestro.mirror.address import Address
from maestro.mirror.calls import Answer, call_git
from maestro.mirror.environment import git_environment
from maestro.mirror.settings import settings_text

_SECONDS = 600.0
_MENTIONED = re.compile(rb"\.git(attributes|modules)\0")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder with one revision of a repository.

    Args:
        folder: top of the files; ``.git`` is in it.
        address: where the repository comes from.
        sha: the commit.
    """

    folder: Path
    address: Address
    sha: str

    def lay_out(self, *, objects: Path | None, shallow: Iterable[str], references: bytes = b"") -> None:
        """Writes ``.git``; the folder is made, and has to be empty.

        Args:
            objects: another repository's object folder, to be borrowed.
            shallow: commits whose parents are not here.
            references: in the format of ``packed-refs``.

        Raises:
            InputError: the folder is not empty.
        """
        git = self.folder / ".git"
        if self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(f"{self.folder} is not empty", next_step="name a folder of its own for each checkout")
        for part in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            (git / part).mkdir(parents=True)
        if objects is not None:
            (git / "objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
        text = settings_text(self.address, bare=False, sha256=len(self.sha) == 64)
        (git / "config").write_text(text, encoding="utf-8")
        boundary = "".join(f"{sha}\n" for sha in shallow)
        if boundary:
            (git / "shallow").write_text(boundary, encoding="utf-8")
        self.set_references(references)
        (git / "HEAD").write_text(f"{self.sha}\n", encoding="utf-8")

    def set_references(self, references: bytes) -> None:
        """Writes branches and tags, in the format of ``packed-refs``."""
        if references:
            (self.folder / ".git/packed-refs").write_bytes(references)

    def fill(self) -> Answer:
        """Writes the files of the revision."""
        return self.ask("reset", "--hard", "--quiet")

    def ask(self, *arguments: str, data: bytes | None = None, output: int = -1) -> Answer:
        """What git says to ``arguments`` in this checkout, and in no repository further up."""
        environment = git_environment(self.address)
        environment.update(GIT_DIR=str(self.folder / ".git"), GIT_WORK_TREE=str(self.folder))
        return call_git(self.folder, *arguments, environment=environment, seconds=_SECONDS, data=data, output=output)

    def mentions(self) -> set[str]:
        """Which of ``attributes`` and ``modules`` the revision has a file ``.git…`` of, by a look into the index."""
        found = _MENTIONED.findall((self.folder / ".git/index").read_bytes())
        return {name.decode() for name in found}
