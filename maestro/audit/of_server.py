"""The audit log of a server: one for all its projects, in its home."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from maestro.audit.database import Database
from maestro.audit.errors import AuditInputError
from maestro.audit.event import AuditEvent
from maestro.audit.keyfile import public_file, read_public
from maestro.audit.log import AuditLog, gone

ORIGIN = "maestro/server"


class ServerAudit:
    """The log in the server's home ``folder``, opened when it is needed; a context manager.

    What was written is signed into a checkpoint at the end.
    """

    def __init__(self, folder: Path, actor: str) -> None:
        self._folder = folder
        self._actor = actor
        self._noted = False

    @cached_property
    def audit(self) -> AuditLog:
        """The log."""
        key = _key(self._folder)
        key.parent.mkdir(mode=0o700, exist_ok=True)
        return AuditLog.open(_url(self._folder), origin=ORIGIN, key_file=key)

    def note(self, kind: str, object_: str, data: Mapping[str, Any]) -> int:
        """Writes a row; its index.

        Raises:
            MaestroError: the log does not take it.
        """
        row = self.audit.append(AuditEvent(kind=kind, actor=self._actor, object=object_, data=dict(data)))
        self._noted = True
        return row.index

    def close(self) -> None:
        """Signs a checkpoint of what was written, and closes the log."""
        log: AuditLog | None = self.__dict__.pop("audit", None)
        if log is None:
            return
        with log:
            if self._noted:
                log.checkpoint()

    def __enter__(self) -> ServerAudit:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()


def note_on_server(folder: Path, kind: str, actor: str, object_: str, data: Mapping[str, Any]) -> None:
    """Writes a row of the log in the server's home ``folder``, and signs it into a checkpoint.

    Raises:
        MaestroError: the log does not take it.
    """
    with ServerAudit(folder, actor) as log:
        log.note(kind, object_, data)


def read_on_server(folder: Path) -> AuditLog:
    """The log, to read and verify only.

    Raises:
        InputError: there is none, or no public key of it.
    """
    public = public_file(_key(folder))
    if not public.is_file():
        raise AuditInputError(
            f"there is no audit log in {folder}, or its public key is gone: {public.name} is missing",
            next_step="a server begins one with the first thing it has to write down",
        )
    database = Database(_url(folder))
    if not database.exists():
        raise gone(database, _key(folder))
    return AuditLog.read(_url(folder), key=read_public(str(public)))


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'audit.db'}"


def _key(folder: Path) -> Path:
    return folder / "keys" / "audit.pem"
