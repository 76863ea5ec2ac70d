"""One comment on a pull request, kept up to date: found by its remembered id, else by a hidden marker.

https://docs.github.com/rest/issues/comments. Anybody can write the marker into a comment of their own, so only a
comment of our own counts: else what we say would stand where somebody else can change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from maestro.github.errors import CredentialsError, RefusedError, UnavailableError
from maestro.github.memory import Memory
from maestro.github.rest import RestClient


@dataclass(frozen=True, slots=True)
class Author:
    """Who we are at GitHub.

    Args:
        app: id or client id of the App; None with a token.
        user: id of the token's user; None when GitHub does not tell, as with the tokens of its Actions.
    """

    app: str | None = None
    user: int | None = None

    def wrote(self, comment: Mapping[str, Any]) -> bool:
        """Whether that comment is ours; of an unknown user's, whether a bot wrote it."""
        user = comment.get("user") or {}
        if self.app is not None:
            by = comment.get("performed_via_github_app") or {}
            return self.app in (str(by.get("id")), by.get("client_id"))
        return bool(user.get("id") == self.user) if self.user is not None else user.get("type") == "Bot"


def token_author(client: RestClient) -> Author:
    """Whose token it is."""
    try:
        found = client.get("/user").body
    except (CredentialsError, RefusedError):
        return Author()
    return Author(user=int(found["id"])) if isinstance(found, dict) and "id" in found else Author()


def marker(*parts: str) -> str:
    """An HTML comment, invisible to readers, that names what the parts name; no text can end it early."""
    digest = sha256("\0".join(parts).encode()).hexdigest()[:32]
    return f"<!-- maestro:{digest} -->"


def put_comment(
    client: RestClient,
    repository: str,
    number: int,
    mark: str,
    text: str,
    memory: Memory,
    author: Author,
    *,
    create: bool = True,
) -> Mapping[str, Any]:
    """Writes the comment with that marker, or changes it.

    Args:
        number: of the issue or pull request.
        text: Markdown, the marker in it, at most 65,536 characters.
        create: False: it is only changed; people are told of a new comment, and of a change they are not.

    Returns:
        Its ``id`` and ``html_url``; nothing when it is not there and not to be made.

    Raises:
        GitHubError: it was not done, or nobody knows.
    """
    if mark not in text:
        raise ValueError("the text does not hold its marker")
    key = f"comment/{repository.lower()}/{number}/{mark}"
    known = memory.recall(key)
    made: Any = None
    if known is not None:
        try:
            made = _change(client, repository, int(known), text)
        except RefusedError as error:
            if error.status == 422:
                raise
            # Somebody deleted it.
    if made is None:
        found = _find(client, repository, number, mark, author)
        if found is not None:
            made = _change(client, repository, found, text)
        elif not create:
            return {}
        else:
            made = client.request("POST", f"/repos/{repository}/issues/{number}/comments", json={"body": text}).body
    try:
        written = int(made["id"])
    except (KeyError, TypeError, ValueError):
        raise UnavailableError("GitHub's answer is no comment", next_step="check `github.api` in server.yaml") from None
    memory.remember(key, str(written))
    return {"id": written, "html_url": made.get("html_url")}


def _change(client: RestClient, repository: str, comment: int, text: str) -> Any:
    return client.request("PATCH", f"/repos/{repository}/issues/comments/{comment}", json={"body": text}).body


def _find(client: RestClient, repository: str, number: int, mark: str, author: Author) -> int | None:
    for page in client.pages(f"/repos/{repository}/issues/{number}/comments"):
        for one in page if isinstance(page, list) else ():
            if mark in (one.get("body") or "") and author.wrote(one):
                return int(one["id"])
    return None
