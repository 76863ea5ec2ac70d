"""Check runs: one for each run of Maestro, made once and changed as the run goes on.

https://docs.github.com/rest/checks/runs. Only a GitHub App may write them. Its ``external_id`` is the run's id, by
which it is found when the answer to its making got lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from maestro.github.errors import UnavailableError
from maestro.github.memory import Memory
from maestro.github.rest import RestClient

ANNOTATIONS = 50
"""As many as one request may carry."""


@dataclass(frozen=True, slots=True)
class _Known:
    id: int
    annotations: int


def put_check_run(
    client: RestClient,
    repository: str,
    body: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    memory: Memory,
) -> Mapping[str, Any]:
    """Makes the check run with the body's ``external_id``, or changes it to what the body says.

    Args:
        body: of ``POST /repos/{owner}/{repo}/check-runs``, without annotations.
        annotations: all of them; GitHub adds what it is given to what it has, so those it has are not sent again.

    Returns:
        Its ``id`` and ``html_url``.

    Raises:
        GitHubError: it was not done, or nobody knows.
    """
    key = f"check_run/{body['external_id']}"
    known = _known(client, repository, body, memory.recall(key), bool(annotations))
    left = list(annotations)[known.annotations if known else 0 :]
    made: Any
    if known is None:
        made = client.request("POST", f"/repos/{repository}/check-runs", json=_with(body, left[:ANNOTATIONS])).body
    else:
        made = _change(client, repository, known.id, body, left[:ANNOTATIONS])
    number = _number(made)
    memory.remember(key, str(number))
    for start in range(ANNOTATIONS, len(left), ANNOTATIONS):
        made = _change(client, repository, number, body, left[start : start + ANNOTATIONS])
    return {"id": number, "html_url": made.get("html_url")}


def _change(
    client: RestClient, repository: str, number: int, body: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]]
) -> Any:
    # A check run stays with its commit.
    changes = {name: value for name, value in body.items() if name != "head_sha"}
    return client.request("PATCH", f"/repos/{repository}/check-runs/{number}", json=_with(changes, annotations)).body


def _with(body: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not annotations:
        return dict(body)
    return {**body, "output": {**body["output"], "annotations": list(annotations)}}


def _known(
    client: RestClient, repository: str, body: Mapping[str, Any], remembered: str | None, count: bool
) -> _Known | None:
    if remembered is not None:
        if not count:
            return _Known(int(remembered), 0)
        return _read(client.get(f"/repos/{repository}/check-runs/{remembered}").body)
    of_name = {"check_name": str(body["name"]), "filter": "all"}
    for page in client.pages(
        f"/repos/{repository}/commits/{quote(str(body['head_sha']), safe='')}/check-runs", of_name
    ):
        for one in page.get("check_runs", ()) if isinstance(page, dict) else ():
            if one.get("external_id") == body["external_id"]:
                return _read(one)
    return None


def _read(one: Any) -> _Known:
    output = one.get("output") if isinstance(one, dict) else None
    return _Known(_number(one), int((output or {}).get("annotations_count") or 0))


def _number(one: Any) -> int:
    try:
        return int(one["id"])
    except (KeyError, TypeError, ValueError):
        raise UnavailableError(
            "GitHub's answer is no check run", next_step="check `github.api` in server.yaml"
        ) from None
