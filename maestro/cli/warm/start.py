"""Starts a project's warm process in the background, once a command has been carried out without one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from maestro.cli.warm.identity import identity, loading_environment
from maestro.cli.warm.place import name_of, open_folder, state_folder, within
from maestro.cli.warm.wanted import project_of, wanted


def start_after(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Starts one when the command that ends here would have used it; says nothing, whatever happens."""
    if not wanted(arguments, environ):
        return
    state = state_folder(project_of(arguments), environ)
    if state is None or not os.path.isdir(state):  # noqa: PTH112 - a string, as place has it
        return
    with contextlib.suppress(OSError, ValueError):
        _start(state, environ)


def _start(state: str, environ: Mapping[str, str]) -> None:
    folder = open_folder(state, make=True)
    if folder is None:
        return
    mine = identity(environ)
    name = name_of(mine)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(within(folder, f"{name}.log"), flags, 0o600)
    given = os.memfd_create("maestro-warm")
    os.write(given, json.dumps({"identity": mine, "modules": list(sys.modules)}).encode())
    os.lseek(given, 0, os.SEEK_SET)
    place = f"{state}/warm/{name}"
    # -P: the current folder is no place to import from. Its own session: a terminal's signals are not for it.
    subprocess.Popen(
        [sys.executable, "-P", "-m", "maestro.cli.warm.program", place],
        stdin=given,
        stdout=log,
        stderr=log,
        cwd="/",
        env=loading_environment(environ),
        start_new_session=True,
    )
