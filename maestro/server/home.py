"""The home of a server: the folder that holds its settings, its databases, mirrors and sockets."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from maestro.errors import InputError, Location
from maestro.server.references import read_reference
from maestro.server.settings import FILE, ServerSettings, read_settings

HOME_VARIABLE = "MAESTRO_SERVER_HOME"
DEFAULT_HOME = "~/.local/share/maestro-server"
_LONGEST_SOCKET = 80
"""Bytes of a socket folder's path: a whole socket address may have 107."""


@dataclass(frozen=True, slots=True)
class ServerHome:
    """A server's folder and settings.

    Args:
        folder: absolute.
    """

    folder: Path
    settings: ServerSettings

    @property
    def shared_database(self) -> str | None:
        """URL of the PostgreSQL database everything is in; None when there are SQLite files.

        Raises:
            InputError: the reference leads nowhere.
        """
        reference = self.settings.database
        return None if reference is None else read_reference(reference)

    @property
    def database_url(self) -> str:
        """Where projects, outcomes, the outbox and leases are."""
        return self.shared_database or f"sqlite:///{self.folder / 'server.db'}"

    @property
    def inbox_url(self) -> str:
        """Where deliveries are; a file of its own with SQLite, so that nobody else's writing delays an answer."""
        return self.shared_database or f"sqlite:///{self.folder / 'inbox.db'}"

    @property
    def dagster(self) -> Path:
        """``DAGSTER_HOME``."""
        return self._made("dagster")

    @property
    def mirrors(self) -> Path:
        """Bare mirrors of the projects' repositories."""
        return self._made("mirrors")

    @property
    def worktrees(self) -> Path:
        """Checkouts of runs."""
        return self._made("worktrees")

    @property
    def projects(self) -> Path:
        """A folder for each project's own state: keys, artifacts, audit log."""
        return self._made("projects")

    @property
    def logs(self) -> Path:
        """Logs of the server's programs and of run workers."""
        return self._made("logs")

    @property
    def sockets(self) -> Path:
        """Unix sockets, for the owner alone; elsewhere when the home's path is too long for one."""
        folder = self.folder / "sockets"
        if len(os.fsencode(folder)) > _LONGEST_SOCKET:
            name = sha256(os.fsencode(self.folder)).hexdigest()[:16]
            folder = Path(tempfile.gettempdir()) / f"maestro-{os.getuid()}-{name}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not what a link leads to: anybody may have put one into a folder for temporary files.
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise InputError("this folder belongs to somebody else", where=Location(str(folder)), next_step="remove it")
        if status.st_mode & 0o077:
            folder.chmod(0o700)
        return folder

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def find_server(folder: Path | str | None = None, environ: Mapping[str, str] | None = None) -> ServerHome:
    """The server's home; its folder is made when it is not there.

    Args:
        folder: None: what ``MAESTRO_SERVER_HOME`` says, else ``~/.local/share/maestro-server``.

    Raises:
        InputError: the folder cannot be made, or its settings are wrong.
    """
    environ = os.environ if environ is None else environ
    chosen = Path(folder or environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser().absolute()
    try:
        chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep_private(chosen)
    except OSError as error:
        raise InputError(
            f"the server's home cannot be made: {error.strerror}",
            where=Location(str(chosen)),
            next_step="name another folder with --home",
        ) from error
    return ServerHome(chosen, read_settings(chosen / FILE))


def _keep_private(folder: Path) -> None:
    """Databases and logs in it hold what private repositories say: nobody but its owner gets in."""
    status = folder.stat()
    if status.st_uid == os.geteuid() and status.st_mode & 0o077:
        folder.chmod(stat.S_IMODE(status.st_mode) & ~0o077)
