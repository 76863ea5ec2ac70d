"""Commands in comments of pull requests, and who may give them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, get_args

from maestro.events import Comment
from maestro.triggers.model import Command, Nothing
from maestro.workflow.triggers import ASSOCIATIONS, CommentTrigger, On, triggers_of

_Name = Literal["retry", "cancel", "approve"]
_NAMES: dict[str, _Name] = {name: name for name in get_args(_Name)}
_WORD = "/maestro"
_ARGUMENT = re.compile(r"[A-Za-z0-9_./=-]{1,100}\Z")
_MAX_ARGUMENTS = 20


def command_in(comment: Comment) -> Command | Nothing:
    """The command in the first line of ``comment`` that is not empty: ``/maestro retry``, ``cancel`` or ``approve``.

    Only a new comment of a pull request counts; of one that is closed, only ``cancel``.
    """
    words = _first_line(comment.body).split()
    if not words or words[0].lower() != _WORD:
        return Nothing("the comment holds no command")
    if comment.action != "created":
        return Nothing(f"a comment that is '{comment.action}' gives no command; write a new one")
    if not comment.on_pull_request:
        return Nothing("commands are taken in pull requests only")
    name = _NAMES.get(words[1].lower()) if len(words) > 1 else None
    if name is None:
        return Nothing("there is no such command; write /maestro retry, /maestro cancel or /maestro approve")
    if comment.closed and name != "cancel":
        return Nothing(f"pull request {comment.number} is closed")
    arguments = words[2:]
    if len(arguments) > _MAX_ARGUMENTS or not all(_ARGUMENT.match(word) for word in arguments):
        return Nothing(f"what follows /maestro {name} is not understood; write steps, or a commit")
    return Command(
        name,
        comment.repository,
        comment.number,
        " ".join(arguments),
        comment.author,
        comment.association,
        comment.comment_id,
    )


def _first_line(body: str) -> str:
    for line in body.splitlines():
        if line.strip():
            # Four spaces make a block of code, which quotes a command and does not give it.
            return "" if line.startswith(("    ", "\t")) else line
    return ""


def allowed(command: Command, on: On, *, in_team: Callable[[str, str], bool] | None = None) -> str | None:
    """None when the author of ``command`` may give it; else why not.

    Args:
        on: of the workflow file of the *default branch*: that of a pull request could name its own author.
        in_team: whether the login (second) is in the team ``owner/team`` (first); without it, and when it raises,
            nobody is in any team.
    """
    triggers = triggers_of(on)
    allow = (triggers.comment if triggers and triggers.comment else CommentTrigger()).allow
    login = command.author.casefold()
    if not login:
        return "the comment names no author"
    teams = []
    for entry in allow:
        if entry in ASSOCIATIONS:
            if command.association == entry:
                return None
        elif "/" in entry:
            teams.append(entry)
        elif entry.removeprefix("@").casefold() == login:
            return None
    asked = f"{command.author} may not say /maestro {command.name} here; on.comment.allow lists {_listed(allow)}"
    for team in teams:
        if in_team is None:
            return f"{asked}, and members of teams cannot be asked for"
        try:
            if in_team(team, command.author):
                return None
        except Exception:  # noqa: BLE001 - whatever hinders the answer, it is no yes
            return f"{asked}, and who is in {team} could not be found out"
    return asked


def _listed(allow: list[str]) -> str:
    return ", ".join(allow) if allow else "nobody"
