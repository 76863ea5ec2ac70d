"""The server that is GitHub, with branches, files and pull requests; it has no way to merge one."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.integration.github_server import GitHubServer

_REPO = "/repos/acme/app"


class GitHubWithPulls(GitHubServer):
    """One repository, ``acme/app``, with a branch ``main``.

    Args:
        files: of the branch.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        super().__init__()
        self.blobs: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, Any]] = {}
        self.branches: dict[str, str] = {"main": self._commit(self._tree(dict(files)), [])}
        self.pulls: list[dict[str, Any]] = []
        self.rules: list[dict[str, Any]] = []
        self.protection: dict[str, Any] | None = None
        self.drafts = True

    def file(self, branch: str, path: str) -> str | None:
        """What a file of a branch holds."""
        return self.blobs[self.commits[self.branches[branch]]["tree"]].get(path)

    def _tree(self, files: dict[str, str]) -> str:
        sha = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        self.blobs[sha] = files
        return sha

    def _commit(self, tree: str, parents: list[str], message: str = "first") -> str:
        sha = hashlib.sha1(f"{tree} {parents} {message}".encode(), usedforsecurity=False).hexdigest()
        self.commits[sha] = {"tree": tree, "parents": parents, "message": message}
        return sha

    def _answer(
        self, method: str, path: str, query: dict[str, list[str]], headers: Mapping[str, str], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        if self._who(path, headers.get("Authorization", "")) is None:
            return 401, {"message": "Bad credentials"}, {}
        found = self._pulls_answer(method, path.removeprefix(_REPO), query, body) if path.startswith(_REPO) else None
        return (*found, {}) if found is not None else super()._answer(method, path, query, headers, body)

    def _pulls_answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any] | None:
        match method, path:
            case "GET", "":
                return 200, {"default_branch": "main", "full_name": "acme/app"}
            case "GET", "/pulls":
                head = query["head"][0].partition(":")[2]
                return 200, [one for one in self.pulls if one["head"]["ref"] == head]
            case "POST", "/pulls":
                return self._open(body)
            case "POST", "/git/trees":
                files = dict(self.blobs[body["base_tree"]])
                files |= {one["path"]: one["content"] for one in body["tree"]}
                return 201, {"sha": self._tree(files)}
            case "POST", "/git/commits":
                return 201, {"sha": self._commit(body["tree"], body["parents"], body["message"])}
            case "POST", "/git/refs":
                name = body["ref"].removeprefix("refs/heads/")
                if name in self.branches:
                    return 422, {"message": "Reference already exists"}
                self.branches[name] = body["sha"]
                return 201, {"ref": body["ref"]}
            case "GET", "/rules/branches/main":
                return 200, self.rules
            case "GET", "/branches/main/protection":
                if self.protection is None:
                    return 404, {"message": "Branch not protected"}
                return 200, self.protection
        return self._named(method, path, query, body)

    def _named(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any] | None:
        missing = 404, {"message": "Not Found"}
        if match := re.fullmatch(r"/git/ref/heads/(.+)", path):
            sha = self.branches.get(match[1])
            return missing if sha is None else (200, {"object": {"sha": sha}})
        if match := re.fullmatch(r"/git/commits/(\w+)", path):
            return 200, {"tree": {"sha": self.commits[match[1]]["tree"]}}
        if match := re.fullmatch(r"/contents/(.+)", path):
            ref = query["ref"][0]
            files = self.blobs[self.commits[self.branches.get(ref, ref)]["tree"]]
            if match[1] not in files:
                return missing
            return 200, {"encoding": "base64", "content": base64.encodebytes(files[match[1]].encode()).decode()}
        if match := re.fullmatch(r"/pulls/(\d+)/requested_reviewers", path):
            self.pulls[int(match[1]) - 1]["reviewers"] = body["reviewers"]
            return 201, {}
        return None

    def _open(self, body: Any) -> tuple[int, Any]:
        if any(one["head"]["ref"] == body["head"] and one["state"] == "open" for one in self.pulls):
            return 422, {"message": "Validation Failed", "errors": [{"message": "A pull request already exists"}]}
        if body.get("draft") and not self.drafts:
            return 422, {"message": "Draft pull requests are not supported in this repository."}
        number = len(self.pulls) + 1
        made = {
            "number": number,
            "state": "open",
            "merged_at": None,
            "html_url": f"https://github.example/acme/app/pull/{number}",
            "head": {"ref": body["head"]},
            "title": body["title"],
            "body": body["body"],
            "base": body["base"],
            "draft": bool(body.get("draft")),
        }
        self.pulls.append(made)
        return 201, made


@contextmanager
def github_with_pulls(files: Mapping[str, str]) -> Iterator[GitHubWithPulls]:
    """Starts the server; stops it at the end."""
    server = GitHubWithPulls(files)
    server.up()
    try:
        yield server
    finally:
        server.down()
