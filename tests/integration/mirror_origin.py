"""Origins for mirrors: a bare repository with somebody who pushes to it, over a path and over real HTTP."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.loopback import Handler, serving

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_ALLOW_PROTOCOL": "file:http",
    "GIT_LFS_SKIP_SMUDGE": "1",
}


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def git(folder: Path, *arguments: str, check: bool = True, **environment: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**_plain(), **_ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Origin:
    """A bare repository, and a clone from which commits are pushed to it."""

    bare: Path
    clone: Path

    @classmethod
    def make(cls, folder: Path, name: str = "app") -> Origin:
        bare, clone = folder / f"{name}.git", folder / f"{name}-clone"
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        git(folder, "clone", "--quiet", str(bare), str(clone))
        git(clone, "checkout", "--quiet", "-B", "main")
        return cls(bare, clone)

    def commit(self, files: dict[str, str | bytes] | None = None, branch: str = "main", message: str = "change") -> str:
        """Commits and pushes to ``branch``."""
        for path, text in (files or {}).items():
            file = self.clone / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--allow-empty", "--message", message)
        git(self.clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return git(self.clone, "rev-parse", "HEAD")

    def forget(self) -> None:
        """Deletes what nothing refers to, as a hosting service does some day."""
        git(self.bare, "reflog", "expire", "--expire=now", "--all")
        git(self.bare, "gc", "--quiet", "--prune=now")

    def force_push_away(self) -> str:
        """Makes a commit on main and replaces it by another; gives the one that is gone."""
        gone = self.commit({"mistake.txt": "gone\n"})
        git(self.clone, "reset", "--quiet", "--hard", "HEAD^")
        self.commit({"instead.txt": "here\n"})
        self.forget()
        return gone


@dataclass
class GitServer:
    """``git http-backend`` behind HTTP Basic authentication; ``behaviour`` makes it misbehave."""

    root: Path
    token: str | None = None
    behaviour: str = "serve"
    asked: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    holding: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    base: str = ""
    watch: Callable[[], object] | None = None

    def url(self, name: str = "app.git") -> str:
        return f"{self.base}/{name}"

    @contextmanager
    def running(self) -> Iterator[GitServer]:
        outer = self

        class Answering(Handler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                outer.handle(self)

            def do_POST(self) -> None:
                outer.handle(self)

        with serving(Answering) as self.base:
            try:
                yield self
            finally:
                self.let_go.set()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        self.headers.append(request.headers.get("Authorization", ""))
        if self.watch is not None:
            self.watch()
        if self.behaviour == "hold":
            self.holding.set()
            self.let_go.wait(60)
            return
        if self.behaviour.isdigit():
            request.send_error(int(self.behaviour))
            return
        if self.behaviour.startswith("http"):
            request.send_response(301)
            request.send_header("Location", self.behaviour + request.path)
            request.end_headers()
            return
        if self.token is not None and not self._knows(request):
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="git"')
            request.end_headers()
            return
        self._backend(request)

    def _knows(self, request: BaseHTTPRequestHandler) -> bool:
        expected = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {expected}"

    def _backend(self, request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length) if length else b""
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=False,
            env={
                **os.environ,
                **_ENVIRONMENT,
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": request.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": request.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        request.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)
