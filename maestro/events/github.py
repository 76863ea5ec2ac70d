"""GitHub's webhooks, https://docs.github.com/webhooks/webhook-events-and-payloads."""

from __future__ import annotations

import re
from collections.abc import Callable

from maestro.events import github_shapes as shapes
from maestro.events.fields import known, split_ref
from maestro.events.model import (
    Comment,
    Deployment,
    DeploymentStatus,
    Event,
    PullRequest,
    Push,
    Release,
    Rerequested,
    WorkflowRun,
)
from maestro.events.other import read_other

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
RETRY = "retry"
"""Name of the button a failed check is given."""
_REPOSITORY = ("repository", "full_name")


def read(event: str, body: bytes) -> Event:
    """The event in ``body``; ``event`` is what ``X-GitHub-Event`` says.

    Raises:
        pydantic.ValidationError: a field is missing or wrong.
    """
    reader = _READERS.get(event)
    return read_other(event, body, _REPOSITORY) if reader is None else reader(event, body)


def _push(_event: str, body: bytes) -> Push:
    found = shapes.PushDelivery.model_validate_json(body)
    branch, tag = split_ref(found.ref)
    after = None if found.deleted else known(found.after)
    commit = found.head_commit if after is not None else None
    return Push(
        repository=found.repository.full_name,
        ref=found.ref,
        branch=branch,
        tag=tag,
        before=known(found.before),
        after=after,
        commit=commit.id if commit else after,
        deleted=after is None,
        created=found.created,
        forced=found.forced,
        sender=_login(found.sender),
        title=commit.message if commit else "",
    )


def _pull_request(_event: str, body: bytes) -> PullRequest:
    found = shapes.PullRequestDelivery.model_validate_json(body)
    inner = found.pull_request
    head_repo = inner.head.repo.full_name if inner.head.repo else None
    return PullRequest(
        repository=found.repository.full_name,
        action=found.action,
        number=found.number,
        ref=f"refs/pull/{found.number}/head",
        head_sha=inner.head.sha,
        head_ref=inner.head.ref,
        head_repo=head_repo,
        base_sha=inner.base.sha,
        base_ref=inner.base.ref,
        author=_login(inner.user),
        association=inner.author_association,
        fork=head_repo is None or head_repo.lower() != found.repository.full_name.lower(),
        draft=bool(inner.draft),
        closed=inner.state != "open",
        title=inner.title,
        sender=_login(found.sender),
    )


def _check(event: str, body: bytes) -> Event:
    asked = shapes.Action.model_validate_json(body)
    # GitHub's own button, or the one a failed check is given.
    button = event == "check_run" and asked.action == "requested_action" and asked.identifier == RETRY
    if asked.action != "rerequested" and not button:
        return read_other(event, body, _REPOSITORY)
    external_id = ""
    found: shapes.CheckRunDelivery | shapes.CheckSuiteDelivery
    if event == "check_run":
        found = shapes.CheckRunDelivery.model_validate_json(body)
        check = found.check_run
        external_id, sha, members = check.external_id, check.head_sha, check.pull_requests
        branch = check.check_suite.head_branch if check.check_suite else None
    else:
        found = shapes.CheckSuiteDelivery.model_validate_json(body)
        suite = found.check_suite
        sha, members, branch = suite.head_sha, suite.pull_requests, suite.head_branch
    member = next((one for one in members if one.head.sha == sha), None)
    # GitHub leaves the branch out, and names no pull request, when the branch is in a fork.
    own = branch is not None and all(_same(one.head.repo, one.base.repo) for one in members)
    return Rerequested(
        repository=found.repository.full_name,
        sha=sha,
        branch=branch if own else None,
        external_id=external_id if _RUN_ID.match(external_id) else None,
        sender=_login(found.sender),
        pull_request=member.number if member else None,
        base_sha=member.base.sha if member else None,
        base_ref=member.base.ref if member else None,
        fork=not own,
    )


def _same(one: shapes.Ids | None, other: shapes.Ids | None) -> bool:
    return one is not None and other is not None and one.id == other.id


def _comment(_event: str, body: bytes) -> Comment:
    found = shapes.IssueCommentDelivery.model_validate_json(body)
    return Comment(
        repository=found.repository.full_name,
        action=found.action,
        number=found.issue.number,
        on_pull_request=found.issue.pull_request is not None,
        closed=found.issue.state == "closed",
        body=found.comment.body or "",
        author=_login(found.comment.user),
        association=found.comment.author_association,
        comment_id=found.comment.id,
        default_branch=found.repository.default_branch,
    )


def _release(_event: str, body: bytes) -> Release:
    found = shapes.ReleaseDelivery.model_validate_json(body)
    inner = found.release
    return Release(
        found.repository.full_name,
        found.action,
        inner.tag_name,
        inner.name,
        inner.draft,
        inner.prerelease,
        _login(found.sender),
    )


def _deployment(_event: str, body: bytes) -> Deployment:
    found = shapes.DeploymentDelivery.model_validate_json(body)
    inner = found.deployment
    return Deployment(
        found.repository.full_name,
        found.action,
        inner.id,
        inner.sha,
        inner.ref,
        inner.environment,
        inner.task,
        _login(found.sender),
    )


def _deployment_status(_event: str, body: bytes) -> DeploymentStatus:
    found = shapes.DeploymentStatusDelivery.model_validate_json(body)
    inner = found.deployment
    return DeploymentStatus(
        found.repository.full_name,
        found.action,
        inner.id,
        inner.sha,
        inner.environment,
        found.deployment_status.state,
        _login(found.sender),
    )


def _workflow_run(_event: str, body: bytes) -> WorkflowRun:
    found = shapes.WorkflowRunDelivery.model_validate_json(body)
    inner = found.workflow_run
    return WorkflowRun(
        found.repository.full_name,
        found.action,
        inner.id,
        inner.name,
        inner.head_sha,
        inner.head_branch,
        inner.status,
        inner.conclusion,
        _login(found.sender),
    )


def _login(person: shapes.Person | None) -> str:
    """Empty for nobody: an account that was deleted."""
    return "" if person is None else person.login


_READERS: dict[str, Callable[[str, bytes], Event]] = {
    "push": _push,
    "pull_request": _pull_request,
    "check_run": _check,
    "check_suite": _check,
    "issue_comment": _comment,
    "release": _release,
    "deployment": _deployment,
    "deployment_status": _deployment_status,
    "workflow_run": _workflow_run,
}
