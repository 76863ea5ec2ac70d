"""Which advisory database a command means."""

from __future__ import annotations

import os
from pathlib import Path

from maestro.cli.options import GlobalOptions
from maestro.errors import InputError


def database_folder(options: GlobalOptions, named: Path | None) -> Path:
    """The folder ``named``, else the project's own database or the one ``MAESTRO_ADVISORIES`` names.

    Raises:
        InputError: neither is there.
    """
    from maestro.cli.prepare import find_project
    from maestro.vulnerabilities.location import VARIABLE, default_folder

    if named is not None:
        return named
    try:
        return default_folder(find_project(options).home, os.environ)
    except InputError:
        # Scans of a document need no repository.
        if os.environ.get(VARIABLE):
            return Path(os.environ[VARIABLE])
        raise
