"""GraphQL over HTTP: one request, one answer; only reading is tried again by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx

from maestro.errors import InputError
from maestro.remote import errors

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


class GraphQL:
    """A Dagster web server's ``/graphql``.

    Args:
        url: address of the web server, with a path when it has one (``--path-prefix``).
        token: sent as a bearer token; never shown.

    Raises:
        InputError: ``url`` is no http or https address.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = _address(url)
        path = parts.path.rstrip("/").removesuffix("/graphql")
        self._url = urlunsplit((parts.scheme, parts.netloc, f"{path}/graphql", "", ""))
        self.server = _shown(urlunsplit((parts.scheme, parts.netloc, path, "", "")))
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._answered = False
        self._client = httpx.Client(timeout=_TIMEOUT, headers=self.headers)

    @property
    def socket_url(self) -> str:
        """Address of its subscriptions."""
        return self._url.replace("http", "ws", 1)

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def read(self, document: str, **variables: Any) -> dict[str, Any]:
        """The answer to a query; tried again when the way to the server fails for a moment.

        Raises:
            MaestroError: there is none.
        """
        return self._only(self.read_fields(document, variables))

    def read_fields(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the answer to a query; tried again when the way to the server fails for a moment.

        Raises:
            MaestroError: there is none.
        """
        for pause in _PAUSES:
            try:
                return self._fields(document, variables)
            except (errors.NotSentError, errors.AnswerLostError) as error:
                # A server that never answered is not there, rather than away for a moment.
                if not error.passing or not self._answered:
                    raise
                time.sleep(pause)
        return self._fields(document, variables)

    def once(self, document: str, **variables: Any) -> dict[str, Any]:
        """The answer to a query or mutation, asked for once: the value of its only field.

        Raises:
            MaestroError: there is none, or it is one of Dagster's errors that every query can meet.
        """
        return self._only(self._fields(document, variables))

    def _only(self, data: Mapping[str, Any]) -> dict[str, Any]:
        answer = next(iter(data.values()), None)
        if not isinstance(answer, dict):
            raise errors.not_dagster(self.server)
        return answer

    def _fields(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = self._client.post(self._url, json={"query": document, "variables": variables})
        except httpx.TransportError as error:
            raise errors.of_transport(error, self.server) from None
        except httpx.InvalidURL as error:
            raise InputError(f"'{self.server}' is no address: {error}", next_step="correct it") from None
        content = _json(response)
        # Dagster answers a document it does not understand with status 400 and the reasons.
        problems = content.get("errors") if isinstance(content, dict) else None
        if isinstance(problems, list) and problems:
            raise errors.of_graphql(problems, self.server)
        if not response.is_success:
            raise errors.of_status(response.status_code, self.server, location=response.headers.get("location"))
        data = content.get("data") if isinstance(content, dict) else None
        if not isinstance(data, dict):
            raise errors.not_dagster(self.server)
        self._answered = True
        return data


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        shown = url.rsplit("@", 1)[-1]
        raise InputError(f"'{shown}' is no http or https address", next_step="give one like https://host:3000")
    return parts


def _shown(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rsplit("@", 1)[-1], parts.path, "", ""))
