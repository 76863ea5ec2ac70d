"""Bytes from Ollama: connections that send no key unasked, and JSON objects, one a line, none without end."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from maestro.llm.ollama import trouble

if TYPE_CHECKING:
    import httpx

LONGEST_LINE = 4 * 1024 * 1024
"""Bytes of one JSON line; a longer one is no answer of Ollama."""


def transport_to(with_key: bool, *, tls: bool) -> httpx.AsyncBaseTransport:
    """Connections for one address.

    Args:
        with_key: whether a key was given for it; else none is sent.
    """
    import httpx

    class Transport(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not with_key:
                # The package sends OLLAMA_API_KEY of the environment to every address.
                request.headers.pop("authorization", None)
            response = await super().handle_async_request(request)
            length = response.headers.get("content-length", "0")
            if length.isdecimal() and int(length) > 4 * LONGEST_LINE:
                await response.aclose()
                raise trouble.broken(f"an answer of {int(length):,} bytes is none of Ollama's")
            return response

    # Reading the certificates of all authorities takes 50 ms; without TLS a context that trusts nobody does.
    trust = ssl.create_default_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=30.0)
    return Transport(verify=trust, limits=limits)


async def whole_lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """The lines as they come; one that is not ended when the connection is, is handed out too."""
    rest = b""
    async for data in response.aiter_raw():
        rest += data
        if b"\n" in data:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if line.strip():
                    yield line
        if len(rest) > LONGEST_LINE:
            raise trouble.broken(f"a line of Ollama's answer does not end: more than {LONGEST_LINE:,} bytes came")
    if rest.strip():
        yield rest


def object_in(line: bytes, model: str) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        ProviderError: it is none, or it is an error.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise trouble.broken("a line of Ollama's answer is no whole JSON: it broke off, or is none") from None
    if not isinstance(found, dict):
        raise trouble.broken("a line of Ollama's answer is JSON but no object")
    if found.get("error"):
        raise trouble.refusal(-1, str(found["error"]), model)
    return found


def message_in(body: bytes) -> str:
    """Ollama's words in the body of a refusal."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return body[: trouble.LONGEST_DETAIL].decode("utf-8", "replace")
    return str(found.get("error", "")) if isinstance(found, dict) else ""
