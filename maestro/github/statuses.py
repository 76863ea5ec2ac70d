"""Commit statuses and deployment statuses: lists that only grow, of which the newest counts.

https://docs.github.com/rest/commits/statuses, https://docs.github.com/rest/deployments/statuses. What is sent again
because its answer got lost is looked for first: the newest one of the same context says the same, or it did not arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from maestro.github.rest import RestClient

_SAME = ("state", "description", "target_url")
_SAME_DEPLOYMENT = ("state", "description", "log_url")


def put_status(
    client: RestClient, repository: str, sha: str, body: Mapping[str, Any], *, again: bool
) -> Mapping[str, Any]:
    """Sets the status of a commit in the body's ``context``.

    Args:
        body: of ``POST /repos/{owner}/{repo}/statuses/{sha}``.
        again: it may have been sent before.

    Returns:
        Its ``id``.

    Raises:
        GitHubError: it was not done, or nobody knows.
    """
    if again:
        path = f"/repos/{repository}/commits/{quote(sha, safe='')}/statuses"
        for page in client.pages(path):
            for one in page if isinstance(page, list) else ():
                # The newest comes first.
                if one.get("context") == body["context"]:
                    if _says(one, body, _SAME):
                        return {"id": one.get("id")}
                    return _post(client, f"/repos/{repository}/statuses/{quote(sha, safe='')}", body)
    return _post(client, f"/repos/{repository}/statuses/{quote(sha, safe='')}", body)


def put_deployment_status(
    client: RestClient, repository: str, deployment: int, body: Mapping[str, Any], *, again: bool
) -> Mapping[str, Any]:
    """Sets the status of a deployment.

    Args:
        body: of ``POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses``.
        again: it may have been sent before.

    Returns:
        Its ``id``.

    Raises:
        GitHubError: it was not done, or nobody knows.
    """
    path = f"/repos/{repository}/deployments/{deployment}/statuses"
    if again:
        newest = client.get(path, {"per_page": 1}).body
        for one in newest[:1] if isinstance(newest, list) else ():
            if _says(one, body, _SAME_DEPLOYMENT):
                return {"id": one.get("id")}
    return _post(client, path, body)


def _says(one: Mapping[str, Any], body: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all((one.get(name) or "") == (body.get(name) or "") for name in names)


def _post(client: RestClient, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    made = client.request("POST", path, json=dict(body)).body
    return {"id": made.get("id") if isinstance(made, dict) else None}
