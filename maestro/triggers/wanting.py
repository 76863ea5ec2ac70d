"""Which revision an event is about, and how far it is to be trusted."""

from __future__ import annotations

from typing import get_args

from maestro.events import (
    Comment,
    Deployment,
    DeploymentStatus,
    Event,
    Other,
    PullRequest,
    Push,
    Release,
    Rerequested,
    Scheduled,
    WorkflowRun,
)
from maestro.triggers.commands import command_in
from maestro.triggers.model import DEFAULT_REF, Command, Nothing, Wanted
from maestro.workflow.triggers import PullRequestType, ReleaseType


def wanted(event: Event) -> Wanted | Command | Nothing:
    """What ``event`` asks for, whatever the workflow's ``on`` may say to it."""
    match event:
        case Push():
            return _push(event)
        case PullRequest():
            return _pull_request(event)
        case Rerequested():
            return _rerequested(event)
        case Release():
            return _release(event)
        case Scheduled():
            return _scheduled(event)
        case Comment():
            return command_in(event)
        case Deployment() | DeploymentStatus() | WorkflowRun():
            words = {Deployment: "a deployment", DeploymentStatus: "a deployment's status", WorkflowRun: "Actions"}
            return Nothing(f"news of {words[type(event)]} starts nothing; the delivery is kept")
        case Other():
            action = f" ({event.action})" if event.action else ""
            return Nothing(f"the event '{event.event}'{action} starts nothing; the delivery is kept")


def _push(event: Push) -> Wanted | Nothing:
    what = f"branch '{event.branch}'" if event.branch else f"tag '{event.tag}'" if event.tag else f"ref '{event.ref}'"
    if event.commit is None:
        return Nothing(f"{what} was deleted")
    if event.branch is None and event.tag is None:
        return Nothing(f"{what} is neither a branch nor a tag")
    return Wanted(
        event="push",
        repository=event.repository,
        sha=event.commit,
        ref=event.ref,
        branch=event.branch,
        tag=event.tag,
        # The commit a tag was moved away from says nothing about what is new.
        base=event.before if event.tag is None else None,
        workflow_sha=event.commit,
        workflow_ref=event.ref,
        author=event.sender,
        title=event.title,
    )


def _pull_request(event: PullRequest) -> Wanted | Nothing:
    if event.closed:
        return Nothing(f"pull request {event.number} is closed")
    if event.action not in get_args(PullRequestType):
        return Nothing(f"a pull request that is '{event.action}' starts nothing")
    fork = event.fork
    return Wanted(
        event="pull_request",
        repository=event.repository,
        sha=event.head_sha,
        ref=event.ref,
        branch=f"pull/{event.number}" if fork else event.head_ref,
        base=event.base_sha,
        base_branch=event.base_ref,
        workflow_sha=event.base_sha if fork else event.head_sha,
        workflow_ref=f"refs/heads/{event.base_ref}" if fork else event.ref,
        fork=fork,
        trusted=not fork,
        pull_request=event.number,
        author=event.author,
        title=event.title,
        action=event.action,
        draft=event.draft,
    )


def _rerequested(event: Rerequested) -> Wanted:
    own = not event.fork and event.branch is not None
    number = event.pull_request
    fetched = f"refs/heads/{event.branch}" if own else None
    return Wanted(
        event="rerequested",
        repository=event.repository,
        sha=event.sha,
        ref=fetched,
        branch=event.branch if own else None,
        base=event.base_sha,
        base_branch=event.base_ref,
        workflow_sha=event.sha if own else None,
        workflow_ref=fetched if own else DEFAULT_REF,
        fork=not own,
        trusted=own,
        pull_request=number,
        author=event.sender,
        rerun_of=event.external_id,
    )


def _release(event: Release) -> Wanted | Nothing:
    if event.draft:
        return Nothing(f"release '{event.tag}' is a draft")
    if event.action not in get_args(ReleaseType):
        return Nothing(f"a release that is '{event.action}' starts nothing")
    ref = f"refs/tags/{event.tag}"
    return Wanted(
        event="release",
        repository=event.repository,
        sha=None,
        ref=ref,
        tag=event.tag,
        workflow_ref=ref,
        author=event.sender,
        title=event.name or event.tag,
        action=event.action,
    )


def _scheduled(event: Scheduled) -> Wanted:
    ref = f"refs/heads/{event.branch}" if event.branch else DEFAULT_REF
    return Wanted(
        event=event.provider,
        repository=event.repository,
        sha=None,
        ref=ref,
        branch=event.branch,
        workflow_ref=ref,
        author=event.sender,
        cron=event.cron,
        timezone=event.timezone,
    )
