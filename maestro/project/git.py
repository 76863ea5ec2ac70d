"""Git, called as a program: the format and the locking are its own affair."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maestro.errors import InputError, MaestroError

_TIMEOUT_SECONDS = 600


class GitError(MaestroError):
    """Git answered with an error."""


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one repository.

    Args:
        root: a folder inside the repository.
        environment: variables added for every call.
    """

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, input_bytes: bytes | None = None) -> bytes:
        """Standard output of ``git ARGUMENTS``.

        Raises:
            InputError: git is not installed.
            GitError: git failed; the message is git's own.
        """
        if shutil.which("git") is None:
            raise InputError("git is not installed", next_step="apt-get install git")
        # Optional locks would let a mere look at the repository fight with the person's own git.
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8", **self.environment}
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments],
            input=input_bytes,
            stdin=subprocess.DEVNULL if input_bytes is None else None,
            capture_output=True,
            env=environment,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
            raise GitError(f"git {arguments[0]} failed: {reason}")
        return done.stdout

    def text(self, *arguments: str) -> str:
        """Standard output as text, without the last newline."""
        return self(*arguments).decode("utf-8", "replace").rstrip("\n")

    def ask(self, *arguments: str) -> str | None:
        """Like ``text``, but None when git says no."""
        try:
            return self.text(*arguments)
        except GitError:
            return None

    def with_environment(self, extra: Mapping[str, str]) -> Git:
        """The same repository with more variables."""
        return Git(self.root, {**self.environment, **extra})


def parse_records(data: bytes) -> Sequence[str]:
    """NUL-separated records (``-z``) as text; bytes that are not UTF-8 survive as surrogates."""
    return [record.decode("utf-8", "surrogateescape") for record in data.split(b"\0") if record]
