"""One program of a server in place of this process, so that signals and its exit code are its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from maestro.cli.options import GlobalOptions
from maestro.cli.server_home import server_home
from maestro.cli.server_lock import locked
from maestro.cli.server_parts import part_of


def become(options: GlobalOptions, folder: Path | None, name: str) -> NoReturn:
    """Turns this process into the program called ``name``; does not return.

    Raises:
        InputError: a setting is wrong, or a whole server runs on this home already.
    """
    home = server_home(options, folder)
    with locked(home.folder / "server.lock"):
        part = part_of(home, name, home.dagster / "workspace.yaml")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.chdir(home.folder)
    os.execve(sys.executable, [sys.executable, *part.arguments], dict(part.environment))
