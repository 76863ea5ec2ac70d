"""GitLab's webhooks, https://docs.gitlab.com/user/project/integrations/webhook_events/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from maestro.events.fields import FullName, Line, Name, Ref, Sha, Wire, known, split_ref
from maestro.events.model import Comment, Event, Other, PullRequest, Push
from maestro.events.other import read_other

_ACTIONS = {"open": "opened", "reopen": "reopened", "close": "closed", "merge": "closed"}
"""GitLab's word for what happened to a merge request -> GitHub's."""


def read(event: str, body: bytes) -> Event:
    """The event in ``body``; ``event`` is what ``X-Gitlab-Event`` says.

    Raises:
        pydantic.ValidationError: a field is missing or wrong.
    """
    reader = _READERS.get(event)
    return read_other(event, body, ("project", "path_with_namespace")) if reader is None else reader(body)


class _Project(Wire):
    path_with_namespace: FullName
    default_branch: Name | None = None


class _Commit(Wire):
    id: Sha
    message: Line = ""


class _Push(Wire):
    project: _Project
    ref: Ref
    before: Sha
    after: Sha
    checkout_sha: Sha | None = None
    user_username: Line = ""
    commits: list[_Commit] = Field(default_factory=list)


def _push(body: bytes) -> Push:
    found = _Push.model_validate_json(body)
    branch, tag = split_ref(found.ref)
    before, after = known(found.before), known(found.after)
    commit = (found.checkout_sha or after) if after is not None else None
    return Push(
        repository=found.project.path_with_namespace,
        ref=found.ref,
        branch=branch,
        tag=tag,
        before=before,
        after=after,
        commit=commit,
        deleted=after is None,
        created=before is None,
        # GitLab does not say; who compares with `before` finds out.
        forced=False,
        sender=found.user_username,
        title=next((one.message for one in found.commits if one.id == commit), ""),
    )


class _Person(Wire):
    username: Line = ""


class _MergeRequestBody(Wire):
    iid: int
    action: Line = ""
    oldrev: Any = None
    source_branch: Name
    target_branch: Name
    source: _Project | None = None
    last_commit: _Commit | None = None
    state: Line = ""
    draft: bool | None = None
    work_in_progress: bool | None = None
    title: Line = ""


class _Changes(Wire):
    draft: Any = None


class _MergeRequest(Wire):
    project: _Project
    user: _Person | None = None
    object_attributes: _MergeRequestBody
    changes: _Changes | None = None


def _merge_request(body: bytes) -> Event:
    found = _MergeRequest.model_validate_json(body)
    inner = found.object_attributes
    action = _action(inner, found.changes)
    repository = found.project.path_with_namespace
    if inner.last_commit is None:
        return Other(repository, "Merge Request Hook without a commit", action)
    head_repo = inner.source.path_with_namespace if inner.source else None
    sender = found.user.username if found.user else ""
    return PullRequest(
        repository=repository,
        action=action,
        number=inner.iid,
        ref=f"refs/merge-requests/{inner.iid}/head",
        head_sha=inner.last_commit.id,
        head_ref=inner.source_branch,
        head_repo=head_repo,
        base_sha=None,
        base_ref=inner.target_branch,
        # The delivery names who did something to the merge request; of its author only a number.
        author=sender,
        association="",
        fork=head_repo is None or head_repo.lower() != repository.lower(),
        draft=bool(inner.draft or inner.work_in_progress),
        closed=inner.state in ("closed", "merged", "locked"),
        title=inner.title,
        sender=sender,
    )


def _action(inner: _MergeRequestBody, changes: _Changes | None) -> str:
    if inner.action != "update":
        return _ACTIONS.get(inner.action, inner.action)
    if inner.oldrev is not None:
        return "synchronize"
    draft = changes.draft if changes else None
    if isinstance(draft, dict) and draft.get("previous") is True and draft.get("current") is False:
        return "ready_for_review"
    return "edited"


class _Note(Wire):
    id: int
    note: str = ""
    noteable_type: Line = ""
    action: Line = "create"
    system: bool = False


class _NoteOn(Wire):
    iid: int
    state: Line = ""


class _NoteHook(Wire):
    project: _Project
    user: _Person | None = None
    object_attributes: _Note
    merge_request: _NoteOn | None = None
    issue: _NoteOn | None = None


def _note(body: bytes) -> Event:
    found = _NoteHook.model_validate_json(body)
    inner = found.object_attributes
    subject = found.merge_request or found.issue
    if inner.system or subject is None:
        return Other(found.project.path_with_namespace, "Note Hook", inner.action)
    return Comment(
        repository=found.project.path_with_namespace,
        action={"create": "created", "update": "edited"}.get(inner.action, inner.action),
        number=subject.iid,
        on_pull_request=found.merge_request is not None and inner.noteable_type == "MergeRequest",
        closed=subject.state in ("closed", "merged", "locked"),
        body=inner.note,
        author=found.user.username if found.user else "",
        association="",
        comment_id=inner.id,
        default_branch=found.project.default_branch,
    )


_READERS: dict[str, Callable[[bytes], Event]] = {
    "Push Hook": _push,
    "Tag Push Hook": _push,
    "Merge Request Hook": _merge_request,
    "Note Hook": _note,
}
