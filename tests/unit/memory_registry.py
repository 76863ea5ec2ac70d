"""A registry in memory that lists referrers and asks for tokens, as newer registries than Debian's do; and can misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Handler, serving

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class MemoryRegistry:
    """What it holds, and how it behaves.

    Args:
        users: who may ask for a token; empty: nobody is asked.
        override: answers a request in its place; None: as it should be.
        seen: method and path of each request, in order.
    """

    host: str = ""
    users: dict[str, str] = field(default_factory=dict)
    override: Callable[[str, str], Reply | None] = lambda _method, _path: None
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Reply:
        self.seen.append(f"{method} {target}")
        given = self.override(method, target)
        if given is not None:
            return given
        parts = urlsplit(target)
        if parts.path == "/token":
            return self._token(parse_qs(parts.query), headers.get("Authorization", ""))
        rights = self._rights(headers.get("Authorization", ""))
        needed = "push" if method in ("PUT", "POST") else "pull"
        if self.users and needed not in rights:
            realm = f'Bearer realm="http://{self.host}/token",service="memory",scope="repository:app:{needed}"'
            return 401, {"WWW-Authenticate": realm}, b'{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}'
        _, _, _repository, kind, *rest = [*parts.path.split("/"), "", ""]
        name = rest[0]
        if kind == "manifests":
            return self._manifest(method, name, headers.get("Content-Type", ""), body)
        if kind == "referrers":
            found = [one for digest in self.manifests if (one := self._refers(digest, name))]
            return 200, {}, json.dumps({"schemaVersion": 2, "manifests": found}).encode()
        if kind == "blobs" and method == "POST":
            return 202, {"Location": f"/v2/{_repository}/blobs/uploads/1?state=x"}, b""
        if kind == "blobs" and method == "PUT":
            digest = parse_qs(parts.query)["digest"][0]
            self.blobs[digest] = body
            return 201, {}, b""
        if kind == "blobs" and name in self.blobs:
            return 200, {"Content-Length": str(len(self.blobs[name]))}, self.blobs[name]
        return 404, {}, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"no such blob"}]}'

    def _manifest(self, method: str, name: str, media_type: str, body: bytes) -> Reply:
        if method == "PUT":
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.manifests[digest] = self.manifests[name] = (media_type, body)
            subject = json.loads(body).get("subject")
            headers = {"Docker-Content-Digest": digest, **({"OCI-Subject": subject["digest"]} if subject else {})}
            return 201, headers, b""
        if name not in self.manifests:
            return 404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such manifest"}]}'
        kept_type, data = self.manifests[name]
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return 200, {"Content-Type": kept_type, "Docker-Content-Digest": digest}, data

    def _refers(self, digest: str, subject: str) -> dict[str, Any] | None:
        media_type, data = self.manifests[digest]
        document = json.loads(data)
        if not digest.startswith("sha256:") or document.get("subject", {}).get("digest") != subject:
            return None
        about = {"artifactType": document["artifactType"], "annotations": document["annotations"]}
        return {"mediaType": media_type, "digest": digest, "size": len(data), **about}

    def _token(self, query: dict[str, list[str]], authorization: str) -> Reply:
        name, _, password = base64.b64decode(authorization.removeprefix("Basic ") or b"Og==").decode().partition(":")
        if self.users.get(name) != password:
            return 401, {}, b"{}"
        token = f"t{len(self.tokens)}.{query['scope'][0].rpartition(':')[2]}"
        self.tokens.add(token)
        return 200, {}, json.dumps({"token": token}).encode()

    def _rights(self, authorization: str) -> list[str]:
        token = authorization.removeprefix("Bearer ")
        return token.partition(".")[2].split(",") if token in self.tokens else []


@contextmanager
def memory_registry(**settings: Any) -> Iterator[MemoryRegistry]:
    """A running one, on a free port of the loopback interface."""
    registry = MemoryRegistry(**settings)

    class Answering(Handler):
        def _reply(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                raise AssertionError("uploads state their length")
            status, headers, data = registry.answer(self.command, self.path, self.headers, self.body())
            self.reply(status, data, headers)

        do_GET = do_PUT = do_POST = do_HEAD = _reply

    with serving(Answering) as url:
        registry.host = url.removeprefix("http://")
        yield registry
