"""Says one message to GitLab: the status of a commit, and one note on a merge request.

https://docs.gitlab.com/api/commits/#set-commit-pipeline-status, https://docs.gitlab.com/api/notes/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from maestro.errors import InputError
from maestro.github.errors import RefusedError, UnavailableError
from maestro.github.memory import Memory
from maestro.github.rest import RestClient
from maestro.outbox import Message
from maestro.server.projects import RegisteredProject
from maestro.server.references import read_reference


@dataclass(frozen=True)
class _Token:
    reference: str
    environ: Mapping[str, str]

    def headers(self, renewed: bool = False) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {read_reference(self.reference, self.environ)}"}


def api_of(url: str) -> str:
    """The API of the GitLab that git fetches from at ``url``.

    Raises:
        InputError: the URL names no host.
    """
    if "://" not in url and ":" in url:
        # scp's form: git@host:group/name.git
        url = f"ssh://{url.replace(':', '/', 1)}"
    found = httpx.URL(url)
    if not found.host:
        raise InputError("the project's URL names no GitLab server", next_step="maestro projects add URL")
    if found.scheme in ("http", "https"):
        return f"{found.scheme}://{found.netloc.decode()}/api/v4"
    return f"https://{found.host}/api/v4"


def carry_out(
    http: httpx.Client, environ: Mapping[str, str], project: RegisteredProject, message: Message, memory: Memory
) -> Mapping[str, Any]:
    """Does what the message says; doing it twice is the same as doing it once.

    Raises:
        MaestroError: it was not done, or nobody knows.
    """
    if project.credentials is None or project.credentials == "app":
        raise InputError(
            f"there are no credentials for project '{project.name}' at GitLab",
            next_step="register it with a reference to a project access token of scope api",
        )
    client = RestClient(api_of(project.url), _Token(project.credentials, environ), http, service="GitLab")
    path = f"/projects/{quote(project.repository, safe='')}"
    if message.kind == "gitlab.status":
        return _status(client, path, message.payload)
    if message.kind == "gitlab.comment":
        return _note(client, path, message.payload, memory)
    raise RefusedError(f"GitLab is not told of '{message.kind}'")


def _status(client: RestClient, path: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        made = client.request("POST", f"{path}/statuses/{quote(said['sha'], safe='')}", json=said["body"]).body
    except UnavailableError as error:
        # GitLab refuses to set the state that is set already.
        if error.status == 400 and "cannot transition" in error.what.lower():
            return {}
        raise
    return {"id": made["id"]}


def _note(client: RestClient, path: str, said: Mapping[str, Any], memory: Memory) -> Mapping[str, Any]:
    notes, mark = f"{path}/merge_requests/{said['number']}/notes", said["marker"]
    key = f"note/{said['number']}/{mark}"
    body = {"body": said["text"]}
    known = memory.recall(key) or _find(client, notes, mark)
    if known is not None:
        try:
            made = client.request("PUT", f"{notes}/{known}", json=body).body
        except RefusedError as error:
            if error.status == 422:
                raise
            known = None
    if known is None:
        if not said["create"]:
            return {}
        made = client.request("POST", notes, json=body).body
    memory.remember(key, str(made["id"]))
    return {"id": made["id"]}


def _find(client: RestClient, notes: str, mark: str) -> str | None:
    own = client.get("/user").body["id"]
    for page in client.pages(notes):
        for one in page if isinstance(page, list) else ():
            if mark in (one.get("body") or "") and (one.get("author") or {}).get("id") == own:
                return str(one["id"])
    return None
