"""What an event asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEFAULT_REF = "HEAD"
"""Stands for the newest commit of the default branch."""

Kind = Literal["push", "pull_request", "release", "schedule", "rerequested", "command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run of one revision.

    Args:
        event: what asks: a key of ``on``; ``rerequested`` for a check asked for again, ``command`` for a person.
        repository: full name of the repository, of our own events the project's name.
        sha: the commit to run; None when the event names only ``ref``, see ``settled``.
        ref: where the commit can be fetched; ``HEAD`` is the default branch; None when the event does not say.
        branch: what ``git.branch`` is to be: of a pull request the branch it comes from, but ``pull/<number>`` when
            that is in a fork, so that a fork cannot name its branch ``main`` and be taken for it. None for a tag.
        tag: of a push of a tag and of a release.
        base: what ``changed(…)`` compares with. None when there was nothing before or nothing is said. For a pull
            request it is the newest commit of ``base_branch``, and the merge base with it is meant.
        base_branch: the branch a pull request goes into.
        workflow_sha: the commit whose workflow file counts; None when only ``workflow_ref`` is known.
        workflow_ref: the ref that it is the newest commit of.
        fork: True when the commit comes from a fork, or might.
        trusted: False when whoever made the commit may not write to the repository: no secrets, sandboxed, and never
            the commit's own workflow file.
        pull_request: its number.
        author: login of who pushed, or opened the pull request; empty when nobody is named.
        title: of the pull request or release, or the commit's first line; empty when nobody gave one.
        rerun_of: a run to do again; its own trust, workflow file and branch count, not those here.
        action: of a pull request and a release: what happened to it; else empty.
        draft: of a pull request.
        cron: of a schedule: the expression, with ``timezone``, when the event says.
    """

    event: Kind
    repository: str
    sha: str | None
    ref: str | None
    branch: str | None = None
    tag: str | None = None
    base: str | None = None
    base_branch: str | None = None
    workflow_sha: str | None = None
    workflow_ref: str | None = None
    fork: bool = False
    trusted: bool = True
    pull_request: int | None = None
    author: str = ""
    title: str = ""
    rerun_of: str | None = None
    action: str = ""
    draft: bool = False
    cron: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Wanted):
    """A run whose commits are known."""

    sha: str
    workflow_sha: str


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody said in a comment of a pull request; whether they may is for ``allowed`` to say.

    Args:
        number: of the pull request.
        argument: what follows the command, words with one space between them; empty when nothing does.
        association: GitHub's word for what the author is to the repository; empty when the provider has none.
    """

    name: Literal["retry", "cancel", "approve"]
    repository: str
    number: int
    argument: str
    author: str
    association: str
    comment_id: int

    @property
    def words(self) -> tuple[str, ...]:
        """``argument`` cut into words: steps."""
        return tuple(self.argument.split())


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing is asked for.

    Args:
        reason: why not, one sentence for people.
    """

    reason: str
