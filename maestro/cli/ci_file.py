"""What ``maestro init --ci`` writes: a CI service's file."""

from __future__ import annotations

import os

from maestro.ci import SERVICES, ci_file
from maestro.cli.output_file import replace_file
from maestro.cli.terminal import Terminal
from maestro.errors import InputError, Location
from maestro.project import Project


def compose_ci(project: Project, service: str) -> str:
    """The text of the service's file.

    Raises:
        InputError: the default branch cannot be named in it.
    """
    from maestro import __version__

    return ci_file(service, version=__version__, default_branch=_default_branch(project))


def write_ci(terminal: Terminal, project: Project, service: str, text: str, *, force: bool) -> None:
    """Writes the service's file where the service looks for it, and says so.

    Raises:
        InputError: it is there already, or cannot be written.
    """
    target = project.root / SERVICES[service].path
    if target.exists() and not force:
        raise InputError(
            "there is a CI file already",
            where=Location(str(target)),
            next_step="keep it, overwrite it with --force, or print this one with --print and merge them by hand",
        )
    replace_file(target, text)
    terminal.line(f"wrote {os.path.relpath(target)}")


def _default_branch(project: Project) -> str:
    """Of the remote ``origin`` as far as this clone knows, else the branch checked out, else ``main``."""
    remote = project.git.ask("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    if remote:
        return remote.removeprefix("origin/")
    return project.git.ask("symbolic-ref", "--quiet", "--short", "HEAD") or "main"
