"""Where the ledger is: with the server's state on a server, in the project's own otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FILE = "ledger.db"
WITNESS = "ledger-id"
"""Beside it, as ``maestro.ledger.witness`` names it, which takes longer to import."""
_SERVER_HOME = "MAESTRO_SERVER_HOME"
"""As in ``maestro.server.home``, whose settings take longer to import than most runs ask for a ledger."""


def ledger_url(home: Path, environ: Mapping[str, str] | None = None) -> str:
    """URL of the ledger's database.

    A server has one ledger for all its projects, in its PostgreSQL database or in a file of its own in its home.

    Args:
        home: the project's state folder, used when ``MAESTRO_SERVER_HOME`` is not set.
        environ: the process's environment when None.

    Raises:
        InputError: the server's settings are wrong.
    """
    environ = os.environ if environ is None else environ
    if not environ.get(_SERVER_HOME):
        return f"sqlite:///{home.absolute() / FILE}"
    from maestro.server.home import find_server

    server = find_server(environ=environ)
    return server.shared_database or f"sqlite:///{server.folder / FILE}"


def is_there(home: Path, environ: Mapping[str, str] | None = None) -> bool:
    """Whether there is a ledger already: on a server always, else once something was asked or granted."""
    environ = os.environ if environ is None else environ
    # What it leaves beside it counts as well: one that was deleted is missed, not begun anew.
    return bool(environ.get(_SERVER_HOME)) or (home / FILE).exists() or (home / WITNESS).exists()
