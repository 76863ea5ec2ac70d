"""``maestro`` in a fork of a process that has everything imported: for tests that start it a hundred times.

Most of a short run's time goes into imports. A test that kills runs at random moments is after the rest. All other
tests start ``tests.forked_maestro``, which imports Maestro anew for each command.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")


def started(root: Path, *arguments: str) -> BaseProcess:
    """``maestro --project ROOT ARGUMENTS`` in a session of its own; what it says is not kept."""
    _FORKS.set_forkserver_preload(["tests.e2e.imported_maestro"])
    process = _FORKS.Process(target=_become, args=(root, ["--project", str(root), *arguments]))
    process.start()
    return process


def _become(root: Path, arguments: Sequence[str]) -> None:
    from maestro.cli.main import main

    os.setsid()
    os.chdir(root)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    sys.argv = ["maestro", *arguments]
    main()
