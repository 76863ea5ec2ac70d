"""Where a project keeps its advisory database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maestro.errors import InputError
from maestro.vulnerabilities.database import FILE
from maestro.vulnerabilities.versions import ECOSYSTEMS

FOLDER = "advisories"
HOME_FOLDER = ".maestro"
VARIABLE = "MAESTRO_ADVISORIES"
SOURCE_VARIABLE = "MAESTRO_ADVISORY_SOURCE"
ECOSYSTEMS_VARIABLE = "MAESTRO_ADVISORY_ECOSYSTEMS"


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

    A checkout made for a revision lies in it, under ``worktrees``; a person's own checkout has it inside, unless
    ``MAESTRO_HOME`` moves it.
    """
    moved = Path(environ["MAESTRO_HOME"]).absolute() if environ.get("MAESTRO_HOME") else None
    around = workspace.parent.parent
    if moved is None and workspace.parent.name == "worktrees" and around.name == HOME_FOLDER:
        return around
    return moved or workspace / HOME_FOLDER


def ecosystems_of(environ: Mapping[str, str]) -> Sequence[str]:
    """The ecosystems ``MAESTRO_ADVISORY_ECOSYSTEMS`` names, separated by commas; all when it names none.

    Raises:
        InputError: one of them is not matched.
    """
    return known_ecosystems([one.strip() for one in environ.get(ECOSYSTEMS_VARIABLE, "").split(",") if one.strip()])


def known_ecosystems(names: Sequence[str]) -> Sequence[str]:
    """``names``, all of them matched; every ecosystem when it is empty.

    Raises:
        InputError: one of them is not matched.
    """
    unknown = next((one for one in names if one not in ECOSYSTEMS), None)
    if unknown is not None:
        raise InputError(f"ecosystem '{unknown}' is not matched", next_step=f"choose among {', '.join(ECOSYSTEMS)}")
    return names or ECOSYSTEMS
