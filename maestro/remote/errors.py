"""What can go wrong between here and the server, in words a person can act on.

::

    MaestroError
    └── RemoteError         the server, or the way to it
        ├── NotSentError    the request did not reach the server
        │   └── NotConnectedError
        └── AnswerLostError the request may have been carried out
"""

from __future__ import annotations

from typing import Any

import httpx

from maestro.errors import InputError, MaestroError

TOKEN_VARIABLE = "MAESTRO_TOKEN"
_FIRST_LINE = 300


class RemoteError(MaestroError):
    """The server cannot be used."""

    passing = False
    """True when trying again a moment later may help."""


class NotSentError(RemoteError):
    """The request did not reach the server."""


class NotConnectedError(NotSentError):
    """There is no connection, for now."""

    passing = True


class AnswerLostError(RemoteError):
    """The request was sent, its answer did not come; nobody knows whether it was carried out."""

    passing = True


def of_transport(error: httpx.TransportError, server: str) -> RemoteError:
    """For a request that got no answer.

    Args:
        server: the server's address without credentials.
    """
    reason = _reason(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate" in reason.lower():
        return NotSentError(
            f"the certificate of {server} is not trusted: {reason}",
            next_step="set SSL_CERT_FILE to your organization's CA bundle, or correct the address",
        )
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return NotSentError(f"{server} does not answer", next_step="check the address, the network and the proxy")
    if isinstance(error, httpx.UnsupportedProtocol):
        return NotSentError(f"'{server}' is no http or https address", next_step="give one like https://host:3000")
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return NotConnectedError(
            f"no connection to {server}: {reason}", next_step="check the address, and that the server runs"
        )
    if isinstance(error, httpx.TimeoutException):
        return AnswerLostError(
            f"{server} took too long to answer", next_step="try again; look at the server's log if it stays so"
        )
    return AnswerLostError(
        f"the connection to {server} broke: {reason}", next_step="try again; look at the server's log if it stays so"
    )


def of_status(status: int, server: str, *, location: str | None = None) -> RemoteError:
    """For an answer with an HTTP status that is no success."""
    if status == 401:
        return RemoteError(
            f"{server} wants to know who you are (401)", next_step=f"set {TOKEN_VARIABLE} to a valid token"
        )
    if status == 403:
        return RemoteError(f"{server} does not allow this (403)", next_step="ask its owner for the role you need")
    if status == 404:
        return RemoteError(
            f"{server} has no Dagster GraphQL (404)", next_step="give the address of the Dagster web server"
        )
    if 300 <= status < 400:
        return RemoteError(
            f"{server} redirects to {location or 'another page'} ({status})",
            next_step=f"give the address it redirects to, or set {TOKEN_VARIABLE} when it is a login page",
        )
    if status in (502, 503, 504):
        return AnswerLostError(
            f"{server} is not available ({status})", next_step="try again in a moment; it may be starting"
        )
    if status >= 500:
        return AnswerLostError(f"{server} failed ({status})", next_step="look at the server's log")
    return RemoteError(f"{server} refused the request ({status})", next_step="look at the server's log")


def not_dagster(server: str) -> RemoteError:
    """It answers, but with something else."""
    return RemoteError(
        f"{server} answers, but not like a Dagster web server",
        next_step="give the address of the Dagster web server, as in https://host:3000",
    )


def of_answer(answer: dict[str, Any], server: str) -> MaestroError:
    """For a GraphQL answer whose type is one of Dagster's errors."""
    kind = str(answer.get("__typename"))
    message = first_line(str(answer.get("message") or kind))
    match kind:
        case "UnauthorizedError":
            return RemoteError(
                f"{server} does not allow this: {message}",
                next_step=f"set {TOKEN_VARIABLE} to a token with the role you need, or ask the server's owner",
            )
        case "RunNotFoundError":
            return InputError(f"{server}: {message}", next_step="list the runs with `maestro status --remote`")
        case "RunConfigValidationInvalid":
            return InputError(
                f"{server} does not take these parameters: {_reasons(answer)}",
                next_step="compare them with `params` of the workflow the server has loaded",
            )
        case "InvalidSubsetError" | "PipelineNotFoundError" | "AssetNotFoundError":
            return InputError(
                f"{server} has not loaded this workflow as it is here: {message}",
                next_step="reload the code location on the server (Deployment, Reload), or check out its revision",
            )
        case "PythonError":
            return RemoteError(f"{server} failed: {message}", next_step="look at the server's log")
        case _:
            return RemoteError(f"{server} refused: {message}", next_step="look at the server's log")


def of_graphql(errors: list[Any], server: str) -> MaestroError:
    """For a GraphQL document the server does not understand."""
    first = errors[0] if errors else {}
    message = first_line(str(first.get("message") if isinstance(first, dict) else first))
    return RemoteError(
        f"{server} does not understand the request: {message}",
        next_step="check that the server runs Dagster 1.13, the version this Maestro speaks with",
    )


def first_line(text: str) -> str:
    """The first line of a message, not too long."""
    return text.strip().split("\n", 1)[0][:_FIRST_LINE]


def _reasons(answer: dict[str, Any]) -> str:
    found = [first_line(str(one.get("message"))) for one in answer.get("errors") or ()]
    return "; ".join(found) or "no reason given"


def _reason(error: BaseException) -> str:
    return first_line(str(error) or type(error).__name__)
