"""Where a project keeps its advisory database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from maestro.vulnerabilities.database import FILE

FOLDER = "advisories"
VARIABLE = "MAESTRO_ADVISORIES"
SOURCE_VARIABLE = "MAESTRO_ADVISORY_SOURCE"


def home_folder(home: Path) -> Path:
    """The project's own database in its state folder."""
    return home / FOLDER


def default_folder(home: Path, environ: Mapping[str, str]) -> Path:
    """The project's own database when there is one, else what ``MAESTRO_ADVISORIES`` names, else where it would be."""
    own = home_folder(home)
    if (own / FILE).is_file() or not environ.get(VARIABLE):
        return own
    return Path(environ[VARIABLE]).expanduser()


def home_of(workspace: Path, environ: Mapping[str, str]) -> Path:
    """The state folder of the project a step's checkout belongs to.

    A checkout made for a revision lies in it, under ``worktrees``; a person's own checkout has it inside.
    """
    if workspace.parent.name == "worktrees":
        return workspace.parent.parent
    return Path(environ["MAESTRO_HOME"]) if environ.get("MAESTRO_HOME") else workspace / ".maestro"
