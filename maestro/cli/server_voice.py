"""What the supervisor says: lines for people, or one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Literal

from maestro.cli.options import GlobalOptions
from maestro.cli.server_home import gateway_url
from maestro.cli.terminal import Terminal
from maestro.server.home import ServerHome
from maestro.server.projects import RegisteredProject

Level = Literal["info", "warning", "error"]
_STYLE = {"info": "", "warning": "yellow", "error": "red"}


class Voice:
    """Writes at once, so that a log of it is never behind."""

    def __init__(self, options: GlobalOptions) -> None:
        self._terminal = Terminal(options)
        self._json = options.log_format == "json"

    def say(self, text: str, *, program: str = "", level: Level = "info") -> None:
        """One line.

        Args:
            program: whose line it is; the supervisor's own when empty.
        """
        if self._json:
            line = {"time": time.time(), "level": level, "program": program or "server", "message": text}
            self._terminal.line(json.dumps(line, ensure_ascii=False))
        else:
            shown = self._terminal.paint(text, _STYLE[level])
            self._terminal.line(f"{self._terminal.paint(program, 'bold')} | {shown}" if program else shown)
        self._terminal.stream.flush()


def hook_url(home: ServerHome, project: RegisteredProject) -> str | None:
    """Where the project's webhooks are taken, as this machine reaches it; None when its provider sends none."""
    if project.provider == "git":
        return None
    return f"{gateway_url(home)}/hooks/{project.provider}/{project.name}"


def about_projects(home: ServerHome, projects: Sequence[RegisteredProject]) -> list[str]:
    """What to know of the projects when the server is ready."""
    if not projects:
        return [
            "no project is registered; from another terminal: maestro projects add URL",
            "  it says what to enter as the webhook at GitHub or GitLab; the server need not be started again",
        ]
    return [f"  {one.name}: {hook_url(home, one) or 'no webhooks'}" for one in projects]
