"""Every endpoint that speaks OpenAI's chat completions: OpenAI, vLLM, llama.cpp, OpenRouter, LM Studio …

Plain httpx, because litellm adds 3 ms to each call. Redirects are not followed: a key goes to the address in the
catalogue and nowhere else. A proxy named in the environment (``HTTPS_PROXY``, ``NO_PROXY``) is used, as httpx does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx_sse

from maestro.llm.model import Chunk, Completion, ProviderCall, ProviderError
from maestro.llm.providers import openai_wire as wire
from maestro.llm.providers.bounded import Bounded
from maestro.llm.providers.connections import CONNECT_SECONDS, Connections
from maestro.llm.providers.telling import endless, late, placed

ERROR_BYTES = 64 * 1024
"""Of a refusal's body; the rest is not read."""


class OpenAICompatible:
    """The provider for this format. Its connections belong to the event loop that calls it.

    Args:
        name: as the catalogue names the provider.
        base: where calls go that name no ``api_base``.
    """

    def __init__(self, name: str = "openai", *, base: str = wire.OPENAI) -> None:
        self.name = name
        self._base = base
        self._connections = Connections()

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.name!r})"

    async def complete(self, call: ProviderCall) -> Completion:
        """The whole answer; see ``Provider``. ``first_byte`` does not count: nothing comes before all of it does."""
        deadline = asyncio.get_running_loop().time() + call.timeout
        async with self._answer(call, deadline, stream=False) as response:
            async with asyncio.timeout_at(deadline):
                data = await _whole(response, call.byte_limit)
            kind = response.headers.get("content-type", "")
            if "json" not in kind:
                raise wire.garbage(f"it answered with the content type {_shown(kind)} instead of JSON")
            return wire.completion(wire.parsed(data, "the answer"))

    async def stream(self, call: ProviderCall) -> AsyncIterator[Chunk]:
        """The answer as it comes; see ``Provider``."""
        now = asyncio.get_running_loop().time()
        deadline = now + call.timeout
        waiting = min(deadline, now + call.first_byte)
        async with self._answer(call, waiting, stream=True) as response:
            kind = response.headers.get("content-type", "")
            if "text/event-stream" not in kind:
                raise wire.garbage(f"it answered with the content type {_shown(kind)} instead of text/event-stream")
            response.stream = Bounded(response.stream, call.byte_limit)
            events = httpx_sse.EventSource(response).aiter_sse()
            finished = False
            while True:
                # Around each wait, not around all: the caller's own time between two pieces is not interrupted.
                async with asyncio.timeout_at(waiting):
                    event = await anext(events, None)
                if event is None:
                    break
                waiting = deadline
                if event.data == "[DONE]":
                    return
                if not event.data:
                    continue
                piece = wire.chunk(wire.parsed(event.data, "a piece of the answer"))
                if piece is not None:
                    finished = finished or piece.finish is not None
                    yield piece
            # llama.cpp and others leave the last marker out; a reason to finish is enough.
            if not finished:
                raise wire.garbage("the answer ended in the middle")

    async def healthy(self, call: ProviderCall) -> str | None:
        """Why ``/models`` does not answer as it should; None: it does."""
        try:
            with self._connections.client() as client:
                request = client.build_request("GET", self._url(call, "models"), headers=_headers(call))
                async with asyncio.timeout(call.first_byte):
                    response = await client.send(request, stream=True)
                    await response.aclose()
        except TimeoutError:
            return f"{self._place(call)} did not answer within {call.first_byte:g} s"
        except Exception as error:  # noqa: BLE001 - whatever the network does, it is not healthy
            return f"{self._place(call)} does not answer ({type(error).__name__})"
        if response.status_code in (401, 403):
            return f"{self._place(call)} refuses the key ({response.status_code})"
        if response.status_code >= 500:
            return f"{self._place(call)} answers {response.status_code}"
        return None

    async def close(self) -> None:
        """Ends its connections."""
        await self._connections.close()

    @asynccontextmanager
    async def _answer(self, call: ProviderCall, deadline: float, *, stream: bool) -> AsyncIterator[httpx.Response]:
        """The response with status 200 once it begins; everything httpx raises becomes ProviderError."""
        place = self._place(call)
        response: httpx.Response | None = None
        open_ones = contextlib.ExitStack()
        try:
            client = open_ones.enter_context(self._connections.client())
            request = client.build_request(
                "POST", self._url(call, "chat/completions"), content=_body(call, stream), headers=_headers(call)
            )
            async with asyncio.timeout_at(deadline):
                response = await client.send(request, stream=True)
                if response.status_code != 200:
                    raise await _refusal(response)
            if response.headers.get("content-encoding", "identity") != "identity":
                # It was asked not to compress, so that no small answer can become a huge one.
                raise wire.garbage("it compressed the answer, which was not asked for")
            yield response
        except ProviderError as error:
            raise placed(error, place, call.api_key) from None
        except TimeoutError:
            began = not stream or response is not None
            raise late(place, call.timeout if began else call.first_byte, began=began) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise ProviderError(
                f"{place} cannot be reached ({_reason(error)})",
                kind="unavailable",
                retry=True,
                sent=False,
                next_step="see that it runs and that `api_base` is right",
            ) from None
        except httpx.RemoteProtocolError as error:
            closed = response is None and "disconnected" in str(error)
            raise ProviderError(
                f"{place} broke off ({_reason(error)})", kind="unavailable" if closed else "garbage", retry=closed
            ) from None
        except httpx.HTTPError as error:
            raise ProviderError(
                f"the connection to {place} broke ({_reason(error)})", kind="unavailable", retry=True
            ) from None
        finally:
            open_ones.close()
            if response is not None:
                await response.aclose()

    def _url(self, call: ProviderCall, path: str) -> httpx.URL:
        base = call.api_base or self._base
        if not base.startswith(("http://", "https://")):
            raise ProviderError(f"the address of {self.name} is no http or https URL", kind="bad_request", sent=False)
        return _parsed(f"{base.rstrip('/')}/{path}")

    def _place(self, call: ProviderCall) -> str:
        """Who is called, for errors: the host, without what a URL may hide."""
        parts = urlsplit(call.api_base or self._base)
        return f"{self.name} at {parts.hostname or '?'}" + (f":{parts.port}" if parts.port else "")


_parsed = functools.lru_cache(maxsize=256)(httpx.URL)
"""Parsing takes a tenth of a request's time, and there are as many addresses as models."""


async def _whole(response: httpx.Response, limit: int) -> bytes:
    parts: list[bytes] = []
    left = limit
    async for data in response.aiter_raw():
        left -= len(data)
        if left < 0:
            raise endless(limit)
        parts.append(data)
    return b"".join(parts)


async def _refusal(response: httpx.Response) -> ProviderError:
    """The error in a response that is not 200; its body is read as far as it is short."""
    parts: list[bytes] = []
    size = 0
    body: dict[str, Any] = {}
    # The status is what counts; what came with it only explains.
    with contextlib.suppress(ProviderError, httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            async for data in response.aiter_raw():
                parts.append(data)
                size += len(data)
                if size > ERROR_BYTES:
                    break
        body = wire.parsed(b"".join(parts), "the refusal")
    return wire.refusal(response.status_code, body, response.headers)


def _body(call: ProviderCall, stream: bool) -> bytes:
    try:
        return json.dumps(wire.payload(call, stream=stream), separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ProviderError(
            f"the request cannot be written as JSON ({error})", kind="bad_request", sent=False
        ) from None


def _headers(call: ProviderCall) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    if call.api_key is not None:
        if not call.api_key.isascii() or not call.api_key.isprintable():
            raise ProviderError(
                "the key holds characters that no header can carry",
                kind="auth",
                sent=False,
                next_step="look at what the model's `key` in models.yaml refers to",
            )
        headers["authorization"] = f"Bearer {call.api_key}"
    return headers


def _reason(error: Exception) -> str:
    """What the network said, one short line."""
    said = " ".join(str(error).split())[:200]
    return said or type(error).__name__


def _shown(content_type: str) -> str:
    return repr(content_type[:80]) if content_type else "(none)"
