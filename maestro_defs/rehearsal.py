"""A rehearsal: a run from beginning to end in a process of its own, to learn what a run imports.

Much is imported only when it is first used. A worker that is forked from a process that has imported it all begins
earlier; what would not survive the fork (connections, threads, stores) happens in the rehearsal alone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from maestro.errors import MaestroError

_log = logging.getLogger("maestro.warm")
_SECONDS = 120.0
_WORKFLOW = """name: rehearsal
concurrency: { group: '{{ git.branch }}' }
stages:
  - name: one
    steps:
      - { id: say, run: shell, with: { command: 'echo {{ git.short_sha }} > said.txt' }, outputs: [said.txt] }
      - { id: hear, run: shell, with: { command: 'cat said.txt' } }
"""


def modules_of_a_run() -> Sequence[str]:
    """Names of the modules a process has imported once it has made and carried out a run; none when it cannot."""
    pid_read, pid_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(pid_read)
            worker = threading.Thread(target=_rehearse, args=(pid_write,), daemon=True)
            worker.start()
            worker.join(_SECONDS)
            code = 0
        finally:
            os._exit(code)
    os.close(pid_write)
    with os.fdopen(pid_read, "rb") as told:
        said = told.read()
    os.waitpid(pid, 0)
    if not said:
        _log.warning(
            "the rehearsal of a run failed, so the first run of each worker imports more; runs work all the same"
        )
        return ()
    return [str(name) for name in json.loads(said)]


def import_all(names: Sequence[str]) -> None:
    """Imports the modules that are not there yet; one that cannot be imported alone is left out."""
    for name in names:
        if name not in sys.modules and not name.startswith("__"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _rehearse(told: int) -> None:
    before = set(sys.modules)
    logging.getLogger().setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="maestro-rehearsal-") as folder:
        try:
            _make_and_carry_out(Path(folder))
        except (MaestroError, OSError, subprocess.SubprocessError):
            return
    names = sorted(set(sys.modules) - before)
    os.write(told, json.dumps(names).encode())


def _make_and_carry_out(folder: Path) -> None:
    from dagster import DagsterRunStatus

    from maestro.server.home import find_server
    from maestro.server.projects import RegisteredProject
    from maestro_defs.making import AskedRun, make_run
    from maestro_defs.run_worker import carry_out
    from maestro_defs.server import Server

    origin = _repository(folder / "origin")
    home = find_server(folder / "home", environ={})
    server = Server(home)
    project = RegisteredProject("rehearsal", str(origin), provider="git")
    server.projects.add(project)
    with server.instance() as instance:
        sha = server.default_revision(project)
        made = make_run(
            server, instance, project, server.workflow(project, sha), AskedRun("rehearsal", sha, sha, branch="main")
        )
        assert made is not None
        run_id = made.run.run_id
    carry_out(run_id, home)
    with server.instance() as instance:
        run = instance.get_run_by_id(run_id)
        if run is None or run.status != DagsterRunStatus.SUCCESS:
            raise MaestroError("the rehearsal did not succeed")


def _repository(folder: Path) -> Path:
    folder.mkdir()
    (folder / "maestro.yaml").write_text(_WORKFLOW, encoding="utf-8")
    identity = ["-c", "user.name=Maestro", "-c", "user.email=rehearsal@maestro.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-q", "-m", "rehearsal"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, timeout=60)
    return folder
