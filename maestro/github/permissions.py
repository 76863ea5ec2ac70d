"""What somebody may do in a repository, which GitHub's word for who they are does not say."""

from __future__ import annotations

from urllib.parse import quote

from maestro.github.errors import RefusedError
from maestro.github.rest import RestClient

_WRITE = frozenset({"admin", "maintain", "write"})


def may_write(client: RestClient, repository: str, login: str) -> bool:
    """Whether ``login`` may push to ``repository`` (``owner/name``); False for who is no collaborator.

    Raises:
        GitHubError: GitHub did not say.
    """
    path = f"/repos/{quote(repository, safe='/')}/collaborators/{quote(login, safe='')}/permission"
    try:
        answer = client.get(path)
    except RefusedError as error:
        if error.status == 404:
            return False
        raise
    return isinstance(answer.body, dict) and answer.body.get("permission") in _WRITE
