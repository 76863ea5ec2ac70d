"""A REST API over HTTP: authorised, with conditional reads, every failure told by what can be done about it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx

from maestro import __version__
from maestro.github.errors import CredentialsError, GitHubError, LimitedError, RefusedError, UnavailableError
from maestro.github.limits import limited_until, retry_after, server_time

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
ACCEPT = "application/json"
"""One of GitHub's basic media types, and the one its description names; the version is asked for by a header."""
_KEPT_READS = 500
_LONGEST_BODY = 1_000_000
"""Bytes of a read that is kept to be asked for conditionally."""
_LONGEST_MESSAGE = 300
_MOST_PAGES = 30
_NEVER = frozenset({404, 410, 422})
_TOKEN_NEXT = "check the credentials of the project and what they may do"


class Credentials(Protocol):
    """Who asks."""

    def headers(self, renewed: bool = False) -> Mapping[str, str]:
        """Headers that authorise a request; ``renewed``: those given before were not accepted."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        body: JSON, or None when there is none.
        headers: names in lower case.
    """

    status: int
    body: Any
    headers: Mapping[str, str]


class RestClient:
    """Requests with one set of credentials; may be used by several threads.

    Args:
        base: URL in front of every path.
        service: what it is called in messages.
    """

    def __init__(
        self,
        base: str,
        credentials: Credentials,
        http: httpx.Client,
        *,
        service: str = "GitHub",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.base = base.rstrip("/")
        self._credentials = credentials
        self._http = http
        self._service = service
        self._clock = clock
        self._reads: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._lock = threading.Lock()
        self.skew = timedelta()
        """The other side's clock less this machine's, as of the last answer."""

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Answer:
        """Reads; when nothing has changed since the last time, GitHub does not count it against its limit."""
        return self.request("GET", path, params=params)

    def pages(self, path: str, params: Mapping[str, str | int] | None = None) -> Iterator[Any]:
        """The bodies of a listing, page by page, at most thirty of them."""
        following: str | None = path
        for _ in range(_MOST_PAGES):
            if following is None:
                return
            answer = self.request("GET", following, params={"per_page": 100, **(params or {})})
            yield answer.body
            following = self._next(answer.headers.get("link", ""))
            params = None if following is None else dict(httpx.URL(following).params)

    def request(
        self, method: str, path: str, *, json: Any = None, params: Mapping[str, str | int] | None = None
    ) -> Answer:
        """One request; a second one when the first was not let in and the credentials could be renewed.

        Args:
            path: below the base.

        Raises:
            GitHubError: of the class that says what to do about it.
        """
        url = httpx.URL(path if path.startswith(self.base) else self.base + path).copy_with(query=None)
        request = self._http.build_request(method, url, params=params, json=json, headers={"Accept": ACCEPT})
        kept = self._reads.get(str(request.url)) if method == "GET" else None
        if kept is not None:
            request.headers["If-None-Match"] = kept[0]
        response = self._send(request, renewed=False)
        if response.status_code == 401:
            response = self._send(request, renewed=True)
        return self._answer(request, response, kept)

    def _send(self, request: httpx.Request, *, renewed: bool) -> httpx.Response:
        request.headers["User-Agent"] = f"maestro/{__version__}"
        request.headers.update(self._credentials.headers(renewed))
        try:
            response = self._http.send(request, follow_redirects=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Without its cause: that has the request in it, and so the credentials.
            raise UnavailableError(
                f"{self._service} does not answer {_asked(request)}: {type(error).__name__}",
                next_step="nothing; it is tried again",
            ) from None
        if response.request.method != request.method:
            # HTTP clients turn a redirected POST into a GET, whose answer would say nothing about the POST.
            raise UnavailableError(
                f"{self._service} leads {_asked(request)} elsewhere",
                next_step="check that the project's repository has its present name",
                status=response.history[0].status_code,
            )
        return response

    def _answer(self, request: httpx.Request, response: httpx.Response, kept: tuple[str, bytes] | None) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        now = self._clock()
        self.skew = server_time(headers, now) - now
        if response.status_code == 304 and kept is not None:
            return Answer(200, httpx.Response(200, content=kept[1]).json(), headers)
        if response.is_success:
            try:
                body = response.json() if response.content else None
            except ValueError:
                raise UnavailableError(
                    f"{self._service} answers {_asked(request)} with something that is no JSON",
                    next_step="check the address of its API",
                    status=response.status_code,
                ) from None
            self._keep(request, response)
            return Answer(response.status_code, body, headers)
        raise self._error(request, response, headers)

    def _keep(self, request: httpx.Request, response: httpx.Response) -> None:
        tag = response.headers.get("etag")
        if request.method != "GET" or tag is None or len(response.content) > _LONGEST_BODY:
            return
        with self._lock:
            self._reads[str(request.url)] = (tag, response.content)
            while len(self._reads) > _KEPT_READS:
                self._reads.popitem(last=False)

    def _error(self, request: httpx.Request, response: httpx.Response, headers: Mapping[str, str]) -> GitHubError:
        status, now = response.status_code, self._clock()
        said = _said(response)
        what = f"{self._service} answers {_asked(request)} with {status}" + (f": {said}" if said else "")
        what = what.replace(request.headers.get("Authorization", "").rpartition(" ")[2] or "\0", "***")
        until = limited_until(status, headers, said, now)
        if until is not None:
            return LimitedError(what, next_step="nothing; it is tried again", retry_at=until, status=status)
        if status in _NEVER:
            return RefusedError(what, next_step=_TOKEN_NEXT, status=status)
        if status in (401, 403):
            return CredentialsError(what, next_step=_TOKEN_NEXT, status=status)
        waits = retry_after(headers, now)
        retry_at = None if waits is None else now + waits
        return UnavailableError(what, next_step="nothing; it is tried again", retry_at=retry_at, status=status)

    def _next(self, link: str) -> str | None:
        found = httpx.Response(200, headers={"link": link}).links.get("next", {}).get("url")
        # Credentials go nowhere else.
        return found if found is not None and found.startswith(f"{self.base}/") else None


def _asked(request: httpx.Request) -> str:
    return f"{request.method} {request.url.path}"


def _said(response: httpx.Response) -> str:
    """GitHub's own words: the message, and what is wrong with which field; one line."""
    try:
        body = response.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    parts = [str(body.get("message") or body.get("error") or body.get("title") or "")]
    errors = body.get("errors") or body.get("validation")
    for one in errors[:3] if isinstance(errors, list) else ():
        if isinstance(one, dict):
            parts.append(" ".join(str(one[name]) for name in ("field", "location", "code", "message") if one.get(name)))
        else:
            parts.append(str(one))
    text = "; ".join(part for part in parts if part)
    return "".join(character if character.isprintable() else " " for character in text)[:_LONGEST_MESSAGE]
