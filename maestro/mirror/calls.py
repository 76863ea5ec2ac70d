"""One call of git: with an end in sight, and whole process groups ended when it is not met."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InputError
from maestro.mirror.credentials import cleaner, without_userinfo

_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^\x20-\x7e\xa0-\U0010ffff]")
_REASON_LENGTH = 600


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said.

    Args:
        code: its exit code; None when it took too long and was ended.
        output: standard output.
        reason: standard error on one line, without secrets and control characters.
    """

    code: int | None
    output: bytes
    reason: str

    @property
    def ok(self) -> bool:
        """Whether git ended well."""
        return self.code == 0

    def text(self) -> str:
        """Standard output as text, without the last newline."""
        return self.output.decode("utf-8", "replace").rstrip("\n")


def call_git(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str],
    seconds: float,
    secrets: Mapping[str, str] | None = None,
    data: bytes | None = None,
    keep_open: Sequence[int] = (),
    output: int = subprocess.PIPE,
) -> Answer:
    """``git ARGUMENTS`` in ``folder``.

    Args:
        environment: all of it; see ``git_environment``.
        seconds: after these git and everything it started is killed.
        secrets: variables whose values are masked in the reason.
        data: standard input.
        keep_open: descriptors git inherits, so that a lock outlives this process as long as git works.
        output: where standard output goes; by default it is in the answer.

    Raises:
        InputError: git is not installed, or the folder is missing.
    """
    try:
        process = subprocess.Popen(
            ["git", *arguments],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=keep_open,
        )
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}", next_step="make it, or name another") from error
        raise InputError("git is not installed", next_step="apt-get install git") from error
    with process:
        try:
            out, err = process.communicate(data, timeout=seconds)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                return Answer(None, b"", f"no answer within {seconds:g} s")
            raise
    if process.returncode == 0:
        return Answer(0, out or b"", "")
    return Answer(process.returncode, out or b"", clean(err, secrets or {}) or f"exit code {process.returncode}")


def _end(process: subprocess.Popen[bytes]) -> None:
    # The group and not the process: git's helpers hold the pipes open, and the connection to the origin.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.communicate()


def clean(error: bytes, secrets: Mapping[str, str]) -> str:
    """What git and the origin wrote, on one line: the origin's text is not trusted to be harmless on a terminal."""
    lines = [_UNPRINTABLE.sub("", line).strip() for line in re.split(r"[\r\n]+", error.decode("utf-8", "replace"))]
    told = [line for line in lines if line and not line.startswith(("hint:", "warning:"))]
    text = without_userinfo(cleaner(secrets).text("; ".join(told or [line for line in lines if line])))
    return text if len(text) <= _REASON_LENGTH else f"{text[:_REASON_LENGTH]}…"
