"""Who is in a team of an organisation."""

from __future__ import annotations

from urllib.parse import quote

from maestro.github.errors import RefusedError
from maestro.github.rest import RestClient


def is_member(client: RestClient, team: str, login: str) -> bool:
    """Whether ``login`` is an active member of ``owner/team``; False when GitHub knows no such membership.

    Raises:
        GitHubError: GitHub did not say.
    """
    owner, _, slug = team.partition("/")
    path = f"/orgs/{quote(owner, safe='')}/teams/{quote(slug, safe='')}/memberships/{quote(login, safe='')}"
    try:
        answer = client.get(path)
    except RefusedError as error:
        if error.status == 404:
            return False
        raise
    return isinstance(answer.body, dict) and answer.body.get("state") == "active"
