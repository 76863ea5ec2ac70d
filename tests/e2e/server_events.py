"""GitHub's webhooks about one repository, with the fields GitHub's own have as far as Maestro reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOTHING = "0" * 40
_FORK_ID = 77


@dataclass(frozen=True)
class Webhook:
    """What GitHub sends: the name of an event and its content."""

    event: str
    content: Mapping[str, Any]


def push(
    repository: str, sha: str, *, before: str = NOTHING, ref: str = "refs/heads/main", forced: bool = False
) -> Webhook:
    return Webhook(
        "push",
        {
            "ref": ref,
            "before": before,
            "after": sha,
            "created": before == NOTHING,
            "deleted": sha == NOTHING,
            "forced": forced,
            "head_commit": None if sha == NOTHING else {"id": sha, "message": "change"},
            **_about(repository, "octocat"),
        },
    )


def pull_request(
    repository: str,
    number: int,
    sha: str,
    base: str,
    *,
    fork: str | None = None,
    action: str = "opened",
    branch: str = "topic",
    author: str = "stranger",
) -> Webhook:
    """A pull request into ``main``; ``fork``: the repository it comes from."""
    head = {"sha": sha, "ref": branch, "repo": _repository(fork or repository)}
    return Webhook(
        "pull_request",
        {
            "action": action,
            "number": number,
            "pull_request": {
                "number": number,
                "head": head,
                "base": {"sha": base, "ref": "main", "repo": _repository(repository)},
                "user": {"login": author},
                "author_association": "NONE",
                "draft": False,
                "state": "open",
                "title": f"change {number}",
            },
            **_about(repository, author),
        },
    )


def comment(repository: str, number: int, body: str, *, author: str, association: str) -> Webhook:
    """A new comment of a pull request."""
    return Webhook(
        "issue_comment",
        {
            "action": "created",
            "issue": {"number": number, "state": "open", "pull_request": {"url": f"https://example.test/{number}"}},
            "comment": {
                "id": 9000 + number,
                "body": body,
                "user": {"login": author},
                "author_association": association,
            },
            **_about(repository, author),
        },
    )


def rerequested(repository: str, check: Mapping[str, Any], *, branch: str | None = "main") -> Webhook:
    """Somebody asks for a check run again; ``branch`` None: it is of a fork."""
    return Webhook(
        "check_run",
        {
            "action": "rerequested",
            "check_run": {
                "id": check["id"],
                "head_sha": check["head_sha"],
                "external_id": check["external_id"],
                "check_suite": {"head_branch": branch},
                "pull_requests": [],
            },
            **_about(repository, "octocat"),
        },
    )


def _about(repository: str, sender: str) -> dict[str, Any]:
    return {"repository": _repository(repository), "sender": {"login": sender, "id": 1, "type": "User"}}


def _repository(full_name: str) -> dict[str, Any]:
    return {"id": hash(full_name) % _FORK_ID, "full_name": full_name, "default_branch": "main"}
