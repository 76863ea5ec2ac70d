"""The audit log of a server: one for all its projects, in its home."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maestro.audit.event import AuditEvent
from maestro.audit.log import AuditLog

ORIGIN = "maestro/server"


def note_on_server(folder: Path, kind: str, actor: str, object_: str, data: Mapping[str, Any]) -> None:
    """Writes a row of the log in the server's home ``folder``, and signs it into a checkpoint.

    Raises:
        MaestroError: the log does not take it.
    """
    key = folder / "keys" / "audit.pem"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    with AuditLog.open(f"sqlite:///{folder / 'audit.db'}", origin=ORIGIN, key_file=key) as log:
        log.append(AuditEvent(kind=kind, actor=actor, object=object_, data=dict(data)))
        log.checkpoint()
