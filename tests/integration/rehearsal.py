"""``python -m tests.integration.rehearsal FOLDER``: a run as a worker carries it out, and what it imports too late.

Writes a JSON list: names of modules that were not there when the warm server had imported everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dagster import DagsterRunStatus

from maestro.server.home import find_server
from maestro.server.projects import RegisteredProject
from maestro_defs.making import AskedRun, make_run
from maestro_defs.run_worker import carry_out
from maestro_defs.server import Server
from maestro_defs.warm.body import BODY
from maestro_defs.warm.preload import preload

_WORKFLOW = """name: rehearsal
concurrency: { group: '{{ git.branch }}' }
stages:
  - name: one
    steps:
      - { id: say, run: shell, with: { command: 'echo {{ git.short_sha }} > said.txt' }, outputs: [said.txt] }
      - { id: hear, run: shell, with: { command: 'cat said.txt' } }
"""


def main(folder: Path) -> None:
    home = find_server(folder / "home", environ={})
    preload(home, BODY)
    before = set(sys.modules)
    origin = _repository(folder / "origin")
    server = Server(home)
    project = RegisteredProject("rehearsal", str(origin), provider="git")
    server.projects.add(project)
    with server.instance() as instance:
        sha = server.default_revision(project)
        asked = AskedRun("rehearsal", sha, sha, branch="main")
        made = make_run(server, instance, project, server.workflow(project, sha), asked)
    assert made is not None
    carry_out(made.run.run_id, home)
    late = sorted(set(sys.modules) - before)
    with server.instance() as instance:
        run = instance.get_run_by_id(made.run.run_id)
    assert run is not None and run.status == DagsterRunStatus.SUCCESS
    json.dump(late, sys.stdout)


def _repository(folder: Path) -> Path:
    folder.mkdir()
    (folder / "maestro.yaml").write_text(_WORKFLOW, encoding="utf-8")
    identity = ["-c", "user.name=Maestro", "-c", "user.email=rehearsal@maestro.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-q", "-m", "rehearsal"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, timeout=60)
    return folder


if __name__ == "__main__":
    main(Path(sys.argv[1]))
