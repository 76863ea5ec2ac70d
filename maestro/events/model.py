"""Events: what Maestro needs to know of each, the same for GitHub and GitLab.

``repository`` is the repository's full name, ``owner/name``; of our own events, the project's name. Commit ids are 40
or 64 hexadecimal digits, branches and tags are bare names; both have been checked, so they may stand in a command.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Push:
    """A branch or a tag was created, moved or deleted.

    Args:
        ref: ``refs/heads/main``, ``refs/tags/v1``.
        branch: None for a tag.
        tag: None for a branch.
        before: the commit before; None when the ref is new.
        after: what the ref points to, for an annotated tag the tag object; None when it was deleted.
        commit: the commit it stands for; None when it was deleted.
        title: first line of the commit's message.
    """

    repository: str
    ref: str
    branch: str | None
    tag: str | None
    before: str | None
    after: str | None
    commit: str | None
    deleted: bool
    created: bool
    forced: bool
    sender: str
    title: str


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Something happened to a pull request, or to a merge request.

    Args:
        action: GitHub's word: ``opened``, ``synchronize``, ``reopened``, ``ready_for_review``, ``closed`` …
        ref: where its newest commit can be fetched.
        head_ref: branch it comes from.
        head_repo: full name of the repository it comes from; None when that was deleted.
        base_sha: the newest commit of the branch it goes into; None when the provider does not say.
        association: GitHub's word for what the author is to the repository; empty when the provider has none.
        fork: True unless it comes from this repository.
        closed: True when it is closed or merged.
    """

    repository: str
    action: str
    number: int
    ref: str
    head_sha: str
    head_ref: str
    head_repo: str | None
    base_sha: str | None
    base_ref: str
    author: str
    association: str
    fork: bool
    draft: bool
    closed: bool
    title: str
    sender: str


@dataclass(frozen=True, slots=True)
class Rerequested:
    """Somebody asked for a check, or for all checks of a commit, once more.

    Args:
        branch: it was pushed to; None when that is a branch of a fork.
        external_id: the run whose check it is; None for all checks of the commit.
        pull_request: one that it belongs to; None for none, and for all from forks.
        base_sha: of that pull request, as ``base_ref``.
        fork: True unless the commit is known to come from this repository.
    """

    repository: str
    sha: str
    branch: str | None
    external_id: str | None
    sender: str
    pull_request: int | None
    base_sha: str | None
    base_ref: str | None
    fork: bool


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment below a pull request or an issue.

    Args:
        action: ``created``, ``edited`` or ``deleted``.
        association: GitHub's word for what the author is to the repository; empty when the provider has none.
        default_branch: the repository's; None when the provider does not say.
        closed: True when the pull request or issue is closed.
    """

    repository: str
    action: str
    number: int
    on_pull_request: bool
    closed: bool
    body: str
    author: str
    association: str
    comment_id: int
    default_branch: str | None


@dataclass(frozen=True, slots=True)
class Release:
    """Something happened to a release.

    Args:
        action: ``published``, ``created``, ``edited``, ``prereleased``, ``released``, ``unpublished``, ``deleted``.
        draft: True when it has no tag yet.
    """

    repository: str
    action: str
    tag: str
    name: str
    draft: bool
    prerelease: bool
    sender: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment was asked for at GitHub."""

    repository: str
    action: str
    deployment_id: int
    sha: str
    ref: str
    environment: str
    task: str
    sender: str


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """A deployment at GitHub came to another state: ``success``, ``failure`` …"""

    repository: str
    action: str
    deployment_id: int
    sha: str
    environment: str
    state: str
    sender: str


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """A run of GitHub Actions was asked for, or is done."""

    repository: str
    action: str
    run_id: int
    name: str
    sha: str
    branch: str | None
    status: str
    conclusion: str | None
    sender: str


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A run that Maestro itself was to start: at a time of the workflow's ``schedule``, or by a person's command.

    Args:
        repository: the project's name.
        provider: ``schedule`` or ``command``.
        branch: None for the default branch.
        at: when it was due, or asked for.
        cron: of a schedule: the expression it comes from, with its time zone, when they are known.
        sender: of a command: who gave it.
    """

    repository: str
    provider: Literal["schedule", "command"]
    branch: str | None
    at: datetime
    cron: str | None
    timezone: str | None
    sender: str


@dataclass(frozen=True, slots=True)
class Other:
    """Any other event: kept, nothing starts from it.

    Args:
        repository: empty when it is not about one.
        action: empty when it has none.
    """

    repository: str
    event: str
    action: str


Event = (
    Push
    | PullRequest
    | Rerequested
    | Comment
    | Release
    | Deployment
    | DeploymentStatus
    | WorkflowRun
    | Scheduled
    | Other
)
