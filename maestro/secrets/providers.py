"""Reads secrets by name from the environment or from files only their owner can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maestro.errors import InputError
from maestro.secrets.values import MINIMUM_LENGTH, SecretValues

LARGEST_FILE = 64 * 1024
"""Bytes; a process cannot be given an environment variable of more than 128 KiB."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret is read from.

    Args:
        provider: ``env`` or ``file``.
        variable: for ``env``; the secret's own name when None.
        path: for ``file``; relative to the project's root, or absolute.
    """

    provider: Literal["env", "file"] = "env"
    variable: str | None = None
    path: str | None = None


def kept_apart(name: str, source: SecretSource, folder: Path) -> SecretSource:
    """Where a server has the secret: a file of the project's own folder, whatever the workflow says.

    A server's environment holds what belongs to the server and to other projects, so no workflow may read it; nor may
    a path lead out of the folder.
    """
    wanted = (source.path or name) if source.provider == "file" else (source.variable or name)
    path = folder / wanted
    inside = path.resolve().is_relative_to(folder.resolve()) and not Path(wanted).is_absolute()
    return SecretSource("file", path=str(path) if inside else str(folder / name))


class _Unusable(Exception):  # noqa: N818 - never leaves this module
    """Why a secret cannot be read, and what helps; holds no value. ``absent``: there is none at all."""

    def __init__(self, reason: str, remedy: str, *, absent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.absent = absent


class SecretReader:
    """Reads the secrets a workflow declares.

    Args:
        root: the project's root.
        environ: the environment ``env`` secrets come from.
        sources: secret name -> where it is.
    """

    def __init__(self, root: Path, environ: Mapping[str, str], sources: Mapping[str, SecretSource]) -> None:
        self._root = root
        self._environ = environ
        self._sources = dict(sources)

    def read(self, names: Iterable[str]) -> SecretValues:
        """The values of ``names``.

        Raises:
            InputError: some are missing or unusable; one error names them all and where each was looked for.
        """
        values: dict[str, str] = {}
        problems: dict[str, _Unusable] = {}
        for name in sorted(set(names)):
            try:
                values[name] = self._value(name)
            except _Unusable as problem:
                problems[name] = problem
        if problems:
            reasons = "; ".join(f"{name}: {problem.reason}" for name, problem in problems.items())
            remedies = dict.fromkeys(problem.remedy for problem in problems.values())
            count = "a secret" if len(problems) == 1 else f"{len(problems)} secrets"
            raise InputError(f"{count} cannot be read: {reasons}", next_step="; ".join(remedies))
        return SecretValues(values)

    def available(self, name: str) -> bool:
        """Whether ``read`` would give this secret."""
        try:
            self._value(name)
        except _Unusable:
            return False
        return True

    def unusable(self, name: str) -> str | None:
        """Why a secret that is there cannot be used; None where it can, and where there is none."""
        try:
            self._value(name)
        except _Unusable as problem:
            return None if problem.absent else problem.reason
        return None

    def _value(self, name: str) -> str:
        source = self._sources.get(name)
        if source is None:
            raise _Unusable("it is not declared", f"add {name} to `secrets` at the top of the workflow", absent=True)
        if source.provider == "file":
            value, place = self._from_file(name, source), f"file {source.path}"
        else:
            variable = source.variable or name
            value, place = self._environ.get(variable, ""), f"environment variable {variable}"
            if not value:
                state = "is empty" if variable in self._environ else "is not set"
                raise _Unusable(f"{place} {state}", f"set {variable} in the environment Maestro runs in", absent=True)
        if "\0" in value:
            raise _Unusable(f"{place} holds a NUL character", f"store {name} as text")
        if len(value.strip()) < MINIMUM_LENGTH:
            raise _Unusable(
                f"{place} is too short: it has fewer than {MINIMUM_LENGTH} characters, which cannot be masked safely",
                f"use a longer value for {name}",
            )
        return value

    def _from_file(self, name: str, source: SecretSource) -> str:
        if not source.path:
            raise _Unusable("its file is not named", f"give {name} a `path`")
        path = self._root / source.path
        try:
            # Not blocking: opening a named pipe would wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            absent = isinstance(error, FileNotFoundError)
            problem = "does not exist" if absent else f"cannot be opened ({error.strerror})"
            raise _Unusable(
                f"file {path} {problem}", f"write {name} to {path} and chmod 600 it", absent=absent
            ) from None
        try:
            # Checked on the open file, so that nobody can exchange it between the check and the reading.
            _check_owner_only(os.fstat(descriptor), path, name)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read(LARGEST_FILE + 1)
        finally:
            os.close(descriptor)
        if len(data) > LARGEST_FILE:
            raise _Unusable(f"file {path} is larger than {LARGEST_FILE // 1024} KiB", f"shorten {path}")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise _Unusable(f"file {path} is not UTF-8 text", f"store {name} as text, base64 for example") from None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise _Unusable(f"file {path} is empty", f"write {name} to {path}", absent=True)
        return text


def _check_owner_only(status: os.stat_result, path: Path, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _Unusable(f"{path} is not a regular file", f"write {name} to a regular file")
    if status.st_uid != os.geteuid():
        raise _Unusable(
            f"file {path} belongs to another user (uid {status.st_uid})", f"make it yours: chown {os.geteuid()} {path}"
        )
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise _Unusable(f"file {path} is open to others (mode {mode:04o})", f"chmod 600 {path}")
