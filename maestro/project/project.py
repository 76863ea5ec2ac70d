"""A project: the repository, its workflow file, and the folder Maestro keeps its state in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError
from maestro.project.git import Git

WORKFLOW_FILE = "maestro.yaml"
HOME_FOLDER = ".maestro"


@dataclass(frozen=True, slots=True)
class Project:
    """One repository Maestro delivers.

    Args:
        root: top folder of the checkout.
        workflow_file: absolute path of its ``maestro.yaml``.
        home: folder of Maestro's own state, never part of a revision.
        secrets: on a server, the folder its secrets are in, a file each; None: they are where the workflow says.
    """

    root: Path
    workflow_file: Path
    home: Path
    secrets: Path | None = None

    @classmethod
    def find(cls, start: Path, *, file: str | None = None, environ: Mapping[str, str] | None = None) -> Project:
        """The project ``start`` is in.

        Args:
            start: a folder inside the repository.
            file: the workflow file, when it is not ``maestro.yaml`` at the top.
            environ: ``MAESTRO_HOME`` moves the state folder; the process's environment when None.

        Raises:
            InputError: not inside a git repository.
        """
        environ = os.environ if environ is None else environ
        if not start.is_dir():
            raise InputError(f"there is no folder '{start}'", next_step="name an existing folder with --project")
        top = Git(start).ask("rev-parse", "--show-toplevel")
        if not top:
            raise InputError(
                f"'{start}' is not inside a git repository",
                next_step="run `git init` there, or change into the repository",
            )
        root = Path(top)
        workflow = (start / file).absolute() if file else root / WORKFLOW_FILE
        home = Path(environ["MAESTRO_HOME"]).absolute() if environ.get("MAESTRO_HOME") else root / HOME_FOLDER
        return cls(root, workflow, home)

    @property
    def git(self) -> Git:
        """Git in this repository."""
        return Git(self.root)

    def ensure_home(self) -> Path:
        """The state folder, made when it is not there; it ignores itself, so it never shows up in git."""
        self.home.mkdir(parents=True, exist_ok=True)
        ignore = self.home / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        return self.home

    def refuse_committed_state(self, paths: Iterable[str] | None = None) -> None:
        """Makes sure that no commit brought files of the state folder: budgets, keys and tokens in it would be its.

        Args:
            paths: those of the revision; None: git is asked.

        Raises:
            InputError: one has.
        """
        if not self.home.is_relative_to(self.root) or self.home == self.root:
            return
        top = self.home.relative_to(self.root).as_posix()
        if paths is None:
            paths = (self.git.ask("ls-files", "-z", "--", f":(literal){top}") or "").split("\0")
        inside = f"{top}/"
        found = next((path for path in paths if path == top or path.startswith(inside)), None)
        if found:
            raise InputError(
                f"'{found}' is in git, and Maestro's own state is no part of a repository: whoever committed it would "
                "decide about budgets, keys and tokens here",
                next_step=f"see what it is and where it is from (git log -- {top}), take it out (git rm -r {top}), and "
                "run again",
            )

    def default_name(self) -> str:
        """The project's name when the workflow gives none: of the remote ``origin``, else of the folder."""
        remote = self.git.ask("config", "--get", "remote.origin.url") or ""
        base = re.sub(r"\.git$", "", remote.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1]) or self.root.name
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", base).strip("-_")
        return name if name[:1].isalpha() else f"project-{name}".rstrip("-")
