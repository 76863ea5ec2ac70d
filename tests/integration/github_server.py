"""A real HTTP server that is GitHub as far as Maestro speaks to it, and fails on command.

It keeps check runs, commit statuses, comments and deployment statuses in memory, wants credentials like GitHub does, and
answers reads with ETags. That requests have GitHub's form is tested against GitHub's own description, with Prism; here
it is tested what becomes of them when an answer gets lost, a limit is reached, or GitHub is away.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.loopback import HOST, Handler

APP_ID = "4711"
INSTALLATION = 42
TOKEN = "ghp_" + "t" * 36
"""The personal token the server knows; its user may write no check runs."""


@dataclass(frozen=True)
class Failure:
    """How a request fails.

    Args:
        status: of the answer.
        body: of the answer.
        headers: of the answer, beside the usual.
        acts: the request is carried out all the same.
        silent: there is no answer at all; the connection is closed.
        matches: a part of ``METHOD /path`` of the requests it is for.
    """

    status: int = 502
    body: Mapping[str, Any] = field(default_factory=lambda: {"message": "Server Error"})
    headers: Mapping[str, str] = field(default_factory=dict)
    acts: bool = False
    silent: bool = False
    matches: str = ""


def lost_answer(matches: str = "") -> Failure:
    """It does what it is asked, and the connection breaks before the answer."""
    return Failure(acts=True, silent=True, matches=matches)


def bad_gateway(matches: str = "", acts: bool = False) -> Failure:
    return Failure(502, {"message": "Server Error"}, acts=acts, matches=matches)


def secondary_limit(retry_after: int | None = None, matches: str = "") -> Failure:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return Failure(403, {"message": said}, headers, matches=matches)


def primary_limit(reset: datetime, matches: str = "") -> Failure:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(reset.timestamp()))}
    return Failure(403, {"message": "API rate limit exceeded for installation ID 42."}, headers, matches=matches)


def too_many(retry_after: int, matches: str = "") -> Failure:
    return Failure(429, {"message": "Too Many Requests"}, {"Retry-After": str(retry_after)}, matches=matches)


@dataclass(frozen=True)
class Request:
    """What came in, and how it was answered (0: not at all)."""

    method: str
    path: str
    body: Any
    status: int
    token: str


@functools.cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class GitHubServer:
    """The server; use :func:`github_server`.

    Args:
        clock: gives GitHub's time.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self.private_key = _private_key()
        self.check_runs: dict[int, dict[str, Any]] = {}
        self.statuses: list[dict[str, Any]] = []
        self.comments: dict[int, dict[str, Any]] = {}
        self.deployment_statuses: dict[int, list[dict[str, Any]]] = {}
        self.requests: list[Request] = []
        self.token_life = timedelta(hours=1)
        self.installed: dict[str, int] = {}
        """Repository -> installation; a repository it does not name has ``INSTALLATION``, -1 says it has none."""
        self.tokens: dict[str, dict[str, Any]] = {}
        self.permissions: dict[str, str] = {}
        """Login -> ``admin``, ``write`` or ``read``; who is not named may write."""
        self.jwt_clock_checked = True
        self._failures: deque[Failure] = deque()
        self._lock = threading.RLock()
        self._last_id = 1000
        self._http: ThreadingHTTPServer | None = None
        self._port = 0
        self._changed = threading.Condition(self._lock)

    # What tests do with it.

    @property
    def url(self) -> str:
        """Base URL of the API."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def private_key_pem(self) -> str:
        """The App's private key, in the form GitHub hands out."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ).decode()

    def fail_next(self, *failures: Failure) -> None:
        """The next requests that match fail, one after the other."""
        with self._lock:
            self._failures.extend(failures)

    def down(self) -> None:
        """Nothing listens any more; what it keeps stays."""
        http, self._http = self._http, None
        if http is not None:
            http.shutdown()
            http.server_close()

    def up(self) -> None:
        """Listens, at the same port as before."""
        if self._http is None:
            self._http = _Server((HOST, self._port), _handler(self))
            self._port = self._http.server_address[1]
            threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def revoke_tokens(self) -> None:
        """Installation tokens given so far are not accepted any more."""
        with self._lock:
            self.tokens.clear()

    def add_comment(
        self, repository: str, number: int, body: str, user: Mapping[str, Any], app: int | None = None
    ) -> int:
        """Somebody comments."""
        with self._lock:
            made = self._comment(repository, number, body, user, app)
            return int(made["id"])

    def checks_of(self, sha: str) -> list[dict[str, Any]]:
        """Check runs of a commit, oldest first."""
        with self._lock:
            return [dict(one) for one in self.check_runs.values() if one["head_sha"] == sha]

    def wait_for(self, condition: Callable[[GitHubServer], bool], seconds: float = 30.0) -> bool:
        """Waits until something it was told makes ``condition`` true; False when that does not happen."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), seconds)

    def writes(self) -> list[Request]:
        """The requests that were to change something of a repository."""
        with self._lock:
            return [one for one in self.requests if one.method != "GET" and one.path.startswith("/repos/")]

    # What it does for requests.

    def take(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        """Status (0: no answer), body and headers of the answer."""
        parts = urlsplit(target)
        with self._changed:
            said = json.loads(body) if body else None
            status, answer, extra = self._with_failures(method, parts.path, parse_qs(parts.query), headers, said)
            token = headers.get("Authorization", "").partition(" ")[2]
            self.requests.append(Request(method, target, said, status, token))
            self._changed.notify_all()
            return status, answer, extra

    def _with_failures(
        self, method: str, path: str, query: dict[str, list[str]], headers: Mapping[str, str], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        failure = next((one for one in self._failures if one.matches in f"{method} {path}"), None)
        if failure is None:
            return self._answer(method, path, query, headers, body)
        self._failures.remove(failure)
        if failure.acts:
            self._answer(method, path, query, headers, body)
        return (0 if failure.silent else failure.status), dict(failure.body), dict(failure.headers)

    def _answer(
        self, method: str, path: str, query: dict[str, list[str]], headers: Mapping[str, str], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        who = self._who(path, headers.get("Authorization", ""))
        if who is None:
            return 401, {"message": "Bad credentials"}, {}
        for pattern, methods in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in methods:
                status, answer, extra = getattr(self, methods[method])(who, found.groupdict(), query, body)
                tag = f'"{hashlib.sha256(json.dumps(answer, sort_keys=True).encode()).hexdigest()}"'
                if method == "GET" and status == 200:
                    extra = {**extra, "ETag": tag}
                    if headers.get("If-None-Match") == tag:
                        return 304, None, extra
                return status, answer, extra
        return 404, {"message": "Not Found"}, {}

    def _who(self, path: str, authorization: str) -> str | None:
        """``app``, ``installation`` or ``user``."""
        kind, _, value = authorization.partition(" ")
        if kind.lower() != "bearer":
            return None
        if value == TOKEN:
            return "user"
        if value in self.tokens:
            return "installation" if self.tokens[value]["expires"] > self.clock() else None
        try:
            claims = jwt.decode(
                value,
                self.private_key.public_key(),
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return None
        now = self.clock().timestamp()
        in_time = claims["iat"] <= now < claims["exp"] and claims["exp"] - now <= 600
        return "app" if claims["iss"] == APP_ID and (in_time or not self.jwt_clock_checked) else None

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _now(self) -> str:
        return self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")

    def permission(self, who: str, named: Mapping[str, str], query: Any, body: Any) -> tuple[int, Any, dict[str, str]]:
        return 200, {"permission": self.permissions.get(named["login"], "write")}, {}

    def installation(
        self, who: str, named: Mapping[str, str], query: Any, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        number = self.installed.get(f"{named['owner']}/{named['repo']}", INSTALLATION)
        if who != "app":
            return 401, {"message": "A JSON web token could not be decoded"}, {}
        return (404, {"message": "Not Found"}, {}) if number < 0 else (200, {"id": number, "app_id": int(APP_ID)}, {})

    def access_token(
        self, who: str, named: Mapping[str, str], query: Any, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        if who != "app":
            return 401, {"message": "A JSON web token could not be decoded"}, {}
        if int(named["id"]) not in {INSTALLATION, *self.installed.values()}:
            return 404, {"message": "Not Found"}, {}
        value = f"ghs_{self._new_id()}" + "x" * 32
        expires = self.clock() + self.token_life
        self.tokens[value] = {"expires": expires, **(body or {})}
        return 201, {"token": value, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}, {}

    def user(self, who: str, named: Mapping[str, str], query: Any, body: Any) -> tuple[int, Any, dict[str, str]]:
        if who != "user":
            return 403, {"message": "Resource not accessible by integration"}, {}
        return 200, {"id": 7, "login": "maestro-bot", "type": "User"}, {}

    def make_check(self, who: str, named: Mapping[str, str], query: Any, body: Any) -> tuple[int, Any, dict[str, str]]:
        if who != "installation":
            return 403, {"message": "You must authenticate via a GitHub App."}, {}
        if not body.get("name") or not body.get("head_sha"):
            return 422, {"message": "Invalid request.", "errors": [{"field": "name", "code": "missing"}]}, {}
        number = self._new_id()
        self.check_runs[number] = {
            "id": number,
            "repository": f"{named['owner']}/{named['repo']}",
            "head_sha": body["head_sha"],
            "annotations": [],
        }
        return 201, self._changed_check(number, body), {}

    def change_check(
        self, who: str, named: Mapping[str, str], query: Any, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        number = int(named["id"])
        if number not in self.check_runs:
            return 404, {"message": "Not Found"}, {}
        if who != "installation":
            return 403, {"message": "Invalid app_id"}, {}
        return 200, self._changed_check(number, body), {}

    def _changed_check(self, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        check = self.check_runs[number]
        output = dict(body.get("output") or {})
        check["annotations"] = [*check["annotations"], *output.pop("annotations", [])]
        check.update({name: value for name, value in body.items() if name not in ("output", "head_sha")})
        check["output"] = {**output, "annotations_count": len(check["annotations"])}
        check["html_url"] = f"{self.url}/checks/{number}"
        return self._shown(check)

    @staticmethod
    def _shown(check: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in check.items() if name != "annotations"}

    def get_check(self, who: str, named: Mapping[str, str], query: Any, body: Any) -> tuple[int, Any, dict[str, str]]:
        check = self.check_runs.get(int(named["id"]))
        return (404, {"message": "Not Found"}, {}) if check is None else (200, self._shown(check), {})

    def list_checks(
        self, who: str, named: Mapping[str, str], query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        name = query.get("check_name", [None])[0]
        found = [
            self._shown(one)
            for one in self.check_runs.values()
            if one["head_sha"] == named["sha"] and name in (None, one["name"])
        ]
        shown, extra = self._page(
            found, f"/repos/{named['owner']}/{named['repo']}/commits/{named['sha']}/check-runs", query
        )
        return 200, {"total_count": len(found), "check_runs": shown}, extra

    def make_status(self, who: str, named: Mapping[str, str], query: Any, body: Any) -> tuple[int, Any, dict[str, str]]:
        if body.get("state") not in ("error", "failure", "pending", "success"):
            return 422, {"message": "Validation Failed", "errors": [{"field": "state", "code": "custom"}]}, {}
        made = {"id": self._new_id(), "sha": named["sha"], "repository": f"{named['owner']}/{named['repo']}", **body}
        self.statuses.append(made)
        return 201, made, {}

    def list_statuses(
        self, who: str, named: Mapping[str, str], query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        found = [one for one in reversed(self.statuses) if one["sha"] == named["sha"]]
        shown, extra = self._page(
            found, f"/repos/{named['owner']}/{named['repo']}/commits/{named['sha']}/statuses", query
        )
        return 200, shown, extra

    def _comment(
        self, repository: str, number: int, body: str, user: Mapping[str, Any], app: int | None
    ) -> dict[str, Any]:
        made = {
            "id": self._new_id(),
            "repository": repository,
            "number": number,
            "body": body,
            "user": dict(user),
            "performed_via_github_app": None if app is None else {"id": app},
        }
        self.comments[made["id"]] = made
        return made

    def make_comment(
        self, who: str, named: Mapping[str, str], query: Any, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        if len(body["body"]) > 65_536:
            return (
                422,
                {"message": "Validation Failed", "errors": ["body is too long (maximum is 65536 characters)"]},
                {},
            )
        by_app = who == "installation"
        user = {"id": 99, "type": "Bot"} if by_app else {"id": 7, "type": "User"}
        repository = f"{named['owner']}/{named['repo']}"
        return 201, self._comment(repository, int(named["id"]), body["body"], user, int(APP_ID) if by_app else None), {}

    def change_comment(
        self, who: str, named: Mapping[str, str], query: Any, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        comment = self.comments.get(int(named["id"]))
        if comment is None:
            return 404, {"message": "Not Found"}, {}
        comment["body"] = body["body"]
        return 200, comment, {}

    def list_comments(
        self, who: str, named: Mapping[str, str], query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        found = [one for one in self.comments.values() if one["number"] == int(named["id"])]
        shown, extra = self._page(
            found, f"/repos/{named['owner']}/{named['repo']}/issues/{named['id']}/comments", query
        )
        return 200, shown, extra

    def make_deployment_status(
        self, who: str, named: Mapping[str, str], query: Any, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        made = {"id": self._new_id(), **body}
        self.deployment_statuses.setdefault(int(named["id"]), []).append(made)
        return 201, made, {}

    def list_deployment_statuses(
        self, who: str, named: Mapping[str, str], query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        found = list(reversed(self.deployment_statuses.get(int(named["id"]), [])))
        shown, extra = self._page(
            found, f"/repos/{named['owner']}/{named['repo']}/deployments/{named['id']}/statuses", query
        )
        return 200, shown, extra

    def _page(
        self, found: list[dict[str, Any]], path: str, query: dict[str, list[str]]
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
        shown = found[(page - 1) * size : page * size]
        if page * size >= len(found):
            return shown, {}
        rest = "".join(f"&{name}={values[0]}" for name, values in query.items() if name not in ("page", "per_page"))
        return shown, {"Link": f'<{self.url}{path}?per_page={size}&page={page + 1}{rest}>; rel="next"'}


_REPO = r"/repos/(?P<owner>[^/]+)/(?P<repo>[^/]+)"
_ROUTES: list[tuple[str, dict[str, str]]] = [
    (r"/user", {"GET": "user"}),
    (r"/app/installations/(?P<id>\d+)/access_tokens", {"POST": "access_token"}),
    (rf"{_REPO}/installation", {"GET": "installation"}),
    (rf"{_REPO}/collaborators/(?P<login>[^/]+)/permission", {"GET": "permission"}),
    (rf"{_REPO}/check-runs", {"POST": "make_check"}),
    (rf"{_REPO}/check-runs/(?P<id>\d+)", {"GET": "get_check", "PATCH": "change_check"}),
    (rf"{_REPO}/commits/(?P<sha>[^/]+)/check-runs", {"GET": "list_checks"}),
    (rf"{_REPO}/statuses/(?P<sha>[^/]+)", {"POST": "make_status"}),
    (rf"{_REPO}/commits/(?P<sha>[^/]+)/statuses", {"GET": "list_statuses"}),
    (rf"{_REPO}/issues/(?P<id>\d+)/comments", {"GET": "list_comments", "POST": "make_comment"}),
    (rf"{_REPO}/issues/comments/(?P<id>\d+)", {"PATCH": "change_comment"}),
    (
        rf"{_REPO}/deployments/(?P<id>\d+)/statuses",
        {"GET": "list_deployment_statuses", "POST": "make_deployment_status"},
    ),
]


class _Server(ThreadingHTTPServer):
    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def server_close(self) -> None:
        super().server_close()
        # Connections that are kept open would be answered even now.
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _handler(state: GitHubServer) -> type[BaseHTTPRequestHandler]:
    class Answering(Handler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            status, answer, extra = state.take(self.command, self.path, self.headers, self.body())
            if status == 0:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            data = b"" if answer is None else json.dumps(answer).encode()
            self.send_response_only(status)
            self.send_header("Date", format_datetime(state.clock(), usegmt=True))
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle

    return Answering


@contextmanager
def github_server(clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[GitHubServer]:
    """Starts the server; stops it at the end."""
    server = GitHubServer(clock)
    server.up()
    try:
        yield server
    finally:
        server.down()
