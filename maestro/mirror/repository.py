"""The bare repository behind a mirror: made, mended, and asked, never with its origin."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from maestro.mirror.address import Address
from maestro.mirror.calls import Answer, call_git
from maestro.mirror.environment import git_environment
from maestro.mirror.errors import MirrorError
from maestro.mirror.names import DEFAULT, KEPT
from maestro.mirror.settings import keep_settings, settings_text

_log = logging.getLogger(__name__)

_LOCAL_SECONDS = 120.0
_FSCK_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Repository:
    """A bare repository on this machine.

    Args:
        folder: where it lies.
        address: its origin.
    """

    folder: Path
    address: Address

    def environment(self, credentials: Mapping[str, str] | None = None) -> dict[str, str]:
        """For git in this repository, wherever it is started: it must not find another one further up."""
        return {**git_environment(self.address, credentials), "GIT_DIR": str(self.folder)}

    def ask(self, *arguments: str, data: bytes | None = None, seconds: float = _LOCAL_SECONDS) -> Answer:
        """What git says to ``arguments``; the origin is not asked."""
        return call_git(self.folder, *arguments, environment=self.environment(), seconds=seconds, data=data)

    def exists(self) -> bool:
        """Whether there is a repository in the folder, as far as a look tells."""
        return (self.folder / "HEAD").is_file() and (self.folder / "objects").is_dir()

    def kept_file(self, sha: str) -> Path:
        """The file that says a commit and all it needs is here; git's ``files`` backend writes it last."""
        return self.folder / KEPT / sha

    def has(self, sha: str) -> bool:
        """Whether the commit is here and will stay; a look at one file, whose time says when it was last wanted."""
        try:
            os.utime(self.kept_file(sha))
        except OSError:
            return False
        return True

    def make(self, *, sha256: bool = False) -> None:
        """Makes the repository when it is not there, and puts its settings right; call it under the lock."""
        if not self.exists():
            if self.folder.exists():
                self.set_aside("it is no repository")
            self._lay_out(sha256)
        elif not sha256 and (self.folder / "config").is_file():
            sha256 = "objectformat = sha256" in (self.folder / "config").read_text("utf-8", "replace").lower()
        keep_settings(self.folder, settings_text(self.address, bare=True, sha256=sha256))

    def _lay_out(self, sha256: bool) -> None:
        # Whole or not at all. By hand (gitrepository-layout(5)), so that no template of the account gets in.
        temporary = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.new")
        shutil.rmtree(temporary, ignore_errors=True)
        for part in ("objects/info", "objects/pack", "refs"):
            (temporary / part).mkdir(parents=True)
        (temporary / "HEAD").write_text(f"ref: {DEFAULT}\n", encoding="utf-8")
        (temporary / "config").write_text(settings_text(self.address, bare=True, sha256=sha256), encoding="utf-8")
        temporary.replace(self.folder)

    def is_sound(self) -> bool:
        """Whether every object is there and is what it should be; reads everything.

        Raises:
            MirrorError: that took too long.
        """
        answer = call_git(
            self.folder,
            *("fsck", "--no-dangling", "--no-progress", "--no-reflogs"),
            environment=self.environment(),
            seconds=_FSCK_SECONDS,
            output=subprocess.DEVNULL,
        )
        if answer.code is None:
            raise MirrorError(
                f"the mirror {self.folder} could not be checked within {_FSCK_SECONDS:g} s",
                next_step="run `git fsck` in it, and remove the folder when it finds something",
            )
        return answer.ok

    def kept(self) -> list[str]:
        """The commits that are kept, in no order."""
        folder = self.folder / KEPT
        return [file.name for file in folder.iterdir() if "." not in file.name] if folder.is_dir() else []

    def set_aside(self, reason: str) -> None:
        """Moves a mirror that cannot be used out of the way, said aloud; only the newest such folder is left."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        target = self.folder.with_name(f"{self.folder.name}.corrupt-{stamp}")
        for older in self.folder.parent.glob(f"{self.folder.name}.corrupt-*"):
            shutil.rmtree(older, ignore_errors=True)
        self.folder.replace(target)
        _log.error("the mirror %s is made anew: %s; the damaged one is in %s", self.folder, reason, target)

    def delete_references(self, names: Sequence[str]) -> None:
        """Deletes references.

        Raises:
            MirrorError: git cannot.
        """
        if not names:
            return
        answer = self.ask("update-ref", "--stdin", data="".join(f"delete {name}\n" for name in names).encode())
        if not answer.ok:
            raise MirrorError(f"old commits of {self.folder} cannot be let go: {answer.reason}")
