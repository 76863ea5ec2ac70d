"""Bodies of webhooks for tests: the fields GitHub and GitLab document, with values that are easy to tell apart."""

from __future__ import annotations

import json
from typing import Any

from maestro.events import Event, read_event

A, B, C = "a" * 40, "b" * 40, "c" * 40
NULL = "0" * 40
RUN = "0b6f2a3c-9a53-5c1e-8a39-0d9b6f1f4c11"


def github(event: str, body: dict[str, Any]) -> Event:
    return read_event("github", event, json.dumps(body).encode())


def gitlab(event: str, body: dict[str, Any]) -> Event:
    return read_event("gitlab", event, json.dumps(body).encode())


def repository(name: str = "octo/hello", **more: Any) -> dict[str, Any]:
    return {"id": 1, "full_name": name, "default_branch": "main", "private": False, **more}


def push(**more: Any) -> dict[str, Any]:
    return {
        "ref": "refs/heads/main",
        "before": A,
        "after": B,
        "created": False,
        "deleted": False,
        "forced": False,
        "head_commit": {"id": B, "message": "Mend it\n\nReally."},
        "commits": [],
        "repository": repository(),
        "sender": {"login": "octocat"},
        **more,
    }


def pull_request(action: str = "opened", **more: Any) -> dict[str, Any]:
    inner = {
        "number": 7,
        "state": "open",
        "title": "A change",
        "draft": False,
        "user": {"login": "octocat"},
        "author_association": "MEMBER",
        "head": {"sha": B, "ref": "feature/x", "repo": repository()},
        "base": {"sha": A, "ref": "main", "repo": repository()},
        **more,
    }
    return {
        "action": action,
        "number": 7,
        "pull_request": inner,
        "repository": repository(),
        "sender": {"login": "pusher"},
    }


def fork_request(action: str = "opened", **more: Any) -> dict[str, Any]:
    return pull_request(action, head={"sha": B, "ref": "main", "repo": repository("mallory/hello")}, **more)


def comment(text: str, **more: Any) -> dict[str, Any]:
    found = {"id": 99, "body": text, "user": {"login": "octocat"}, "author_association": "MEMBER"}
    return {
        "action": more.pop("action", "created"),
        "issue": {
            "number": 7,
            "state": more.pop("state", "open"),
            "pull_request": more.pop("pull_request", {"url": ""}),
        },
        "comment": found | more,
        "repository": repository(),
        "sender": {"login": "octocat"},
    }


def check_run(**more: Any) -> dict[str, Any]:
    found = {"head_sha": B, "external_id": RUN, "check_suite": {"head_branch": "feature/x"}, "pull_requests": []}
    return {
        "action": "rerequested",
        "check_run": found | more,
        "repository": repository(),
        "sender": {"login": "octocat"},
    }


def merge_request(action: str = "open", changes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    inner = {
        "iid": 7,
        "action": action,
        "state": "opened",
        "title": "A change",
        "draft": False,
        "source_branch": "feature/x",
        "target_branch": "main",
        "source": {"path_with_namespace": "group/sub/hello"},
        "target": {"path_with_namespace": "group/sub/hello"},
        "last_commit": {"id": B, "message": "Mend it\n"},
        **more,
    }
    return {
        "object_kind": "merge_request",
        "user": {"username": "octocat"},
        "project": {"path_with_namespace": "group/sub/hello", "default_branch": "main"},
        "object_attributes": inner,
        "changes": changes or {},
    }


def note(text: str, **more: Any) -> dict[str, Any]:
    inner = {"id": 99, "note": text, "noteable_type": "MergeRequest", "action": "create", "system": False}
    return {
        "object_kind": "note",
        "user": {"username": "octocat"},
        "project": {"path_with_namespace": "group/sub/hello", "default_branch": "main"},
        "object_attributes": inner | more,
        "merge_request": {"iid": 7, "state": "opened"},
    }


def gitlab_push(**more: Any) -> dict[str, Any]:
    return {
        "object_kind": "push",
        "ref": "refs/heads/main",
        "before": A,
        "after": B,
        "checkout_sha": B,
        "user_username": "octocat",
        "project": {"path_with_namespace": "group/sub/hello", "default_branch": "main"},
        "commits": [{"id": A, "message": "Before"}, {"id": B, "message": "Mend it\n"}],
        **more,
    }
