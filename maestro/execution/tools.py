"""Tools a step needs: whether they are there, and their versions as part of the cache key."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from maestro.steps import Requirement

_TIMEOUT_SECONDS = 20


class Tools:
    """Looks tools up on ``path``; a version is asked once per executable, then remembered on disk.

    Args:
        path: value of PATH.
        cache: file that remembers versions by executable, size and time of change; None: not remembered.
        strange: a checkout of somebody who is not trusted: its own programs are told apart by their content, and never
            started to ask them.
        environment: of the programs that are asked; the process's own when None.
    """

    def __init__(
        self,
        path: str | None,
        cache: Path | None,
        *,
        strange: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._path = path
        self._strange = None if strange is None else strange.resolve()
        self._environment = environment
        self._cache = cache
        self._lock = threading.Lock()
        self._versions: dict[str, str] | None = None

    def which(self, tool: str) -> str | None:
        """The executable called ``tool``, or None."""
        return shutil.which(tool, path=self._path)

    def missing(self, requirements: Iterable[Requirement]) -> list[Requirement]:
        """Those that are not there."""
        return [requirement for requirement in requirements if self.which(requirement.tool) is None]

    def versions(self, requirements: Iterable[Requirement]) -> Mapping[str, str]:
        """Tool -> what it prints about its version; ``missing`` when it is not there."""
        return {requirement.tool: self._version(requirement) for requirement in requirements}

    def _version(self, requirement: Requirement) -> str:
        executable = self.which(requirement.tool)
        if executable is None:
            return "missing"
        if self._strange is not None and _lies_in(Path(executable), self._strange):
            return _content(Path(executable))
        if not requirement.version_args:
            return executable
        about = Path(executable).stat()
        identity = f"{executable} {about.st_size} {about.st_mtime_ns} {' '.join(requirement.version_args)}"
        key = hashlib.sha256(identity.encode()).hexdigest()
        with self._lock:
            known = self._read()
            if key not in known:
                known[key] = _ask([executable, *requirement.version_args], self._environment)
                self._write(known)
            return known[key]

    def _read(self) -> dict[str, str]:
        if self._versions is None:
            try:
                loaded = json.loads(self._cache.read_text(encoding="utf-8")) if self._cache else {}
            except (OSError, ValueError):
                loaded = {}
            self._versions = loaded if isinstance(loaded, dict) else {}
        return self._versions

    def _write(self, known: Mapping[str, str]) -> None:
        if self._cache is None:
            return
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._cache.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        temporary.write_text(json.dumps(known), encoding="utf-8")
        temporary.replace(self._cache)


def _lies_in(executable: Path, folder: Path) -> bool:
    """Whether it is a file of ``folder``, or reached through one: a link there is not the folder owner's program."""
    plain = executable.absolute()
    return plain.parent.resolve().is_relative_to(folder) or plain.resolve().is_relative_to(folder)


def _content(executable: Path) -> str:
    with executable.open("rb") as file:
        return f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def _ask(argv: list[str], environment: Mapping[str, str] | None) -> str:
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=None if environment is None else dict(environment),
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown ({type(error).__name__})"
    return (done.stdout or done.stderr).decode("utf-8", "replace").strip()[:500]


Which = Callable[[str], str | None]
