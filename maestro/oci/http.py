"""The HTTP spoken to a registry: TLS except on this machine, credentials, a few retries, one family of errors."""

from __future__ import annotations

import contextlib
import io
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from maestro.oci.auth import AuthFile
from maestro.oci.challenge import basic, fetch_token, parse_challenge
from maestro.oci.errors import DeniedError, MalformedAnswerError, NotInRegistryError, RegistryError, UnreachableError
from maestro.oci.reference import DOCKER_HUB, is_loopback

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE = 20.0
_SHOWN = 200

Body = bytes | Callable[[], Iterator[bytes]]
"""What is sent; a function is called again for each attempt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry answered.

    Args:
        url: what was asked, after redirects.
        next_page: address of the rest of a list (RFC 8288, ``rel="next"``).
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str
    next_page: str | None = None


class Connection:
    """One registry.

    Args:
        registry: ``host`` or ``host:port``.
        auth: credentials.
        pauses: seconds before each further attempt, when the registry does not answer or says it is busy. Written by
            hand: httpx repeats only what could not connect, and a registry's 429 and 503 mean the same.
    """

    def __init__(self, registry: str, auth: AuthFile | None, pauses: tuple[float, ...]) -> None:
        self.registry = registry
        self._auth = auth or AuthFile()
        self._pauses = pauses
        self._headers: dict[str, str] = {}
        self._base: str | None = None
        # The system's authorities, as buildah and skopeo trust them. Nobody else can listen on this machine's loopback.
        verify: ssl.SSLContext | bool = False if is_loopback(registry) else ssl.create_default_context()
        self._client = httpx.Client(timeout=_TIMEOUT, verify=verify, headers={"User-Agent": "maestro"})

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def request(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: Body | None = None,
        push: bool = False,
        limit: int = 8 * 1024 * 1024,
        sink: Path | None = None,
    ) -> Answer:
        """The answer, whatever its status, except 401 and 403.

        Args:
            path: below ``/v2/<repository>/``, or the absolute URL a registry gave.
            push: asks for the right to write as well.
            limit: bytes of the answer that are read at most.
            sink: file that takes the content of a successful answer, in place of memory.

        Raises:
            UnreachableError, DeniedError, MalformedAnswerError.
        """
        scope = f"repository:{repository}:pull{',push' if push else ''}"
        try:
            url = path if "://" in path else f"{self._address()}/v2/{repository}/{path}"
            response = self._send(method, url, scope, headers or {}, content)
            if response.status_code == 401 and self._log_in(response, repository, scope):
                response.close()
                response = self._send(method, url, scope, headers or {}, content)
            answer = self._read(response, repository, limit, sink)
        except httpx.InvalidURL as error:
            raise self.malformed("sent an address that is none") from error
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"the registry {self.registry} does not answer: {str(error) or type(error).__name__}",
                next_step=f"start it, or correct the name '{self.registry}' and the network",
            ) from error
        if answer.status in (401, 403):
            raise self._denied(answer, repository, push)
        return answer

    def failed(self, answer: Answer, doing: str) -> RegistryError:
        """The error for an answer that is not the one expected."""
        said = _reason(answer)
        if answer.status == 404:
            return NotInRegistryError(
                f"{doing}: the registry {self.registry} has nothing there{said}",
                next_step="check repository, tag and digest; `skopeo list-tags docker://REPOSITORY` shows the tags",
            )
        if answer.status in (400, 405, 413, 415) and _errors(answer):
            return RegistryError(
                f"{doing}: the registry {self.registry} refuses ({answer.status}){said}",
                next_step="see what it says; it may not keep this kind of content",
            )
        if answer.status >= 500 or answer.status == 429:
            return RegistryError(
                f"{doing}: the registry {self.registry} cannot do it now ({answer.status}){said}",
                next_step="retry later; the registry's own log says more",
            )
        return self.malformed(f"answered {answer.status}{said} when {doing}")

    def malformed(self, what: str) -> MalformedAnswerError:
        """The error for something no registry does."""
        return MalformedAnswerError(
            f"{self.registry} {what}", next_step=f"check that {self.registry} is a registry (OCI distribution 1.1)"
        )

    def _read(self, response: httpx.Response, repository: str, limit: int, sink: Path | None) -> Answer:
        kept = io.BytesIO() if sink is None or response.status_code != 200 else sink.open("wb")
        with contextlib.closing(response), kept:
            for chunk in response.iter_bytes():
                if kept.tell() + len(chunk) > limit:
                    raise self.malformed(f"sent more than {limit:,} bytes for {repository}")
                kept.write(chunk)
            content = kept.getvalue() if isinstance(kept, io.BytesIO) else b""
        following = response.links.get("next", {}).get("url")
        return Answer(response.status_code, response.headers, content, str(response.url), following)

    def _address(self) -> str:
        if self._base is None:
            host = "registry-1.docker.io" if self.registry == DOCKER_HUB else self.registry
            self._base = f"https://{host}"
            if is_loopback(self.registry) and not self._speaks_tls(host):
                self._base = f"http://{host}"
        return self._base

    def _speaks_tls(self, host: str) -> bool:
        try:
            self._client.get(f"https://{host}/v2/")
        except httpx.TransportError:
            return False
        return True

    def _send(
        self, method: str, url: str, scope: str, headers: Mapping[str, str], content: Body | None
    ) -> httpx.Response:
        own = url.startswith(f"{self._address()}/")
        authorization = self._headers.get(scope) if own else None
        sent = {**headers, **({"Authorization": authorization} if authorization else {})}
        for pause in (*self._pauses, None):
            body: Any = content() if callable(content) else content
            request = self._client.build_request(method, url, headers=sent, content=body)
            try:
                # httpx drops the Authorization header when it is sent on to another host.
                answer = self._client.send(request, stream=True, follow_redirects=method in ("GET", "HEAD"))
            except httpx.TransportError:
                if pause is None:
                    raise
            else:
                if answer.status_code not in _AGAIN or pause is None:
                    return answer
                pause = max(pause, _retry_after(answer))
                answer.close()
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _log_in(self, answer: httpx.Response, repository: str, scope: str) -> bool:
        """Get ready to ask again; False when there is nothing to answer with."""
        credentials = self._auth.for_repository(self.registry, repository)
        challenges = answer.headers.get_list("www-authenticate")
        known = {one.scheme: one for one in map(parse_challenge, challenges) if one is not None}
        if "bearer" in known:
            self._headers[scope] = fetch_token(self._client, known["bearer"], scope, credentials, self.registry)
            return True
        if "basic" in known and credentials is not None:
            self._headers[scope] = basic(credentials)
            return True
        return False

    def _denied(self, answer: Answer, repository: str, push: bool) -> DeniedError:
        has = self._auth.for_repository(self.registry, repository) is not None
        return DeniedError(
            f"the registry {self.registry} does not let "
            f"{'these credentials' if has else 'an anonymous user'} {'write to' if push else 'read'} {repository} "
            f"({answer.status}){_reason(answer)}",
            next_step="give other credentials: " * has
            + f"skopeo login --authfile FILE {self.registry}, then name the file with REGISTRY_AUTH_FILE or `auth`",
        )


def _retry_after(answer: httpx.Response) -> float:
    said = answer.headers.get("retry-after", "")
    return min(float(said), _LONGEST_PAUSE) if said.isascii() and said.isdigit() else 0.0


def _errors(answer: Answer) -> list[Any]:
    try:
        found = json.loads(answer.content).get("errors")
    except (ValueError, AttributeError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _reason(answer: Answer) -> str:
    """What the registry says itself, on one line, cut."""
    texts = [
        f"{one.get('code', '')}: {one.get('message', '')}".strip(": ")
        for one in _errors(answer)
        if isinstance(one, dict)
    ]
    said = " ".join(", ".join(texts).split())
    printable = "".join(letter for letter in said if letter.isprintable())[:_SHOWN]
    return f": {printable}" if printable else ""
