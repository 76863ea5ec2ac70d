"""The projects' code: a code server for each, found by Dagster's programs in a workspace file.

A code server is ``dagster api grpc`` with its errors kept: a project whose workflow is wrong is shown as failed, and
hurts no other. It is started anew when the project changes, and when the workflow file of its default branch does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import yaml

from maestro.cli import dagster_program
from maestro.cli.programs import socket_answers
from maestro.cli.server_home import projects_of
from maestro.cli.server_parts import PROJECT_VARIABLE, Part, environment_of
from maestro.mirror.names import TRACKED
from maestro.project.git import Git, GitError
from maestro.server.home import ServerHome
from maestro.server.projects import RegisteredProject

CODE = "code"


@dataclass(frozen=True, slots=True)
class Location:
    """A project's code, as of its workflow file.

    Args:
        workflow: blob id of the file at the default branch; empty while unknown.
    """

    project: RegisteredProject
    workflow: str
    part: Part = field(compare=False)

    def replaces(self, before: Location) -> bool:
        """Whether code that was loaded as of ``before`` is out of date.

        Not when the file was unknown: the code server has then fetched the repository itself, and read what is there.
        """
        return self.project != before.project or bool(before.workflow and before.workflow != self.workflow)


class Locations:
    """The code servers a supervisor should have.

    Args:
        scope: name of the only program they are for; empty: for the whole server. Each scope has its own.
    """

    def __init__(self, home: ServerHome, scope: str = "") -> None:
        self._home = home
        self._scope = scope
        self._projects = projects_of(home)
        self._seen: dict[str, tuple[object, str]] = {}
        self.workspace = home.dagster / (f"workspace-{scope}.yaml" if scope else "workspace.yaml")

    def wanted(self) -> Mapping[str, Location]:
        """What should run now, by name of the part.

        Raises:
            MaestroError: the server's database does not answer.
        """
        found: dict[str, Location] = {}
        for project in self._projects.all():
            part = self._part(project)
            found[part.name] = Location(project, self._workflow(project), part)
        return found

    def write_workspace(self, locations: Mapping[str, Location]) -> bool:
        """Lists ``locations`` for Dagster's programs; False when they were listed already."""
        servers = [
            {"grpc_server": {"socket": str(self._socket(one.project.name)), "location_name": one.project.name}}
            for one in locations.values()
        ]
        text = yaml.safe_dump({"load_from": servers})
        if self.workspace.is_file() and self.workspace.read_text(encoding="utf-8") == text:
            return False
        temporary = self.workspace.with_suffix(f".{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.workspace)
        return True

    def forget_socket(self, location: Location) -> None:
        """Removes what a code server that is gone has left, so that nobody takes it for the next one."""
        self._socket(location.project.name).unlink(missing_ok=True)

    def _part(self, project: RegisteredProject) -> Part:
        socket = self._socket(project.name)
        arguments = dagster_program.words("dagster", "api", "grpc", "--socket", str(socket), "--lazy-load-user-code")
        code = ("-m", "maestro_defs.definitions", "--location-name", project.name, "--log-level", "warning")
        return Part(
            "/".join(part for part in (CODE, self._scope, project.name) if part),
            (*arguments, *code),
            {**environment_of(self._home), PROJECT_VARIABLE: project.name},
            lambda: socket_answers(socket),
            first=True,
            essential=False,
        )

    def _socket(self, project: str) -> Path:
        # A hash: the name of a project may be longer than the path of a socket.
        name = sha256(f"{self._scope}/{project}".encode()).hexdigest()[:12]
        return self._home.sockets / f"code-{name}.sock"

    def _workflow(self, project: RegisteredProject) -> str:
        mirror = self._home.mirrors / f"{project.name}.git"
        signature = _signature(mirror, project.default_branch)
        seen = self._seen.get(project.name)
        # Git is asked only when a fetch has changed something.
        if seen is None or seen[0] != signature:
            seen = self._seen[project.name] = (signature, _blob(mirror, project))
        return seen[1]


def _signature(mirror: Path, branch: str | None) -> object:
    return tuple(_changed_at(mirror / name) for name in ("packed-refs", TRACKED, f"{TRACKED}{branch or 'HEAD'}"))


def _changed_at(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _blob(mirror: Path, project: RegisteredProject) -> str:
    if not mirror.is_dir():
        return ""
    at = f"{TRACKED}{project.default_branch or 'HEAD'}:{project.workflow_file}"
    try:
        return Git(mirror, {"GIT_DIR": str(mirror)}).text("rev-parse", "--verify", "--quiet", at)
    except GitError:
        return ""
