"""Every provider litellm can speak to. The only module that imports litellm, on first use, in a thread: it takes 2 s.

litellm translates formats here, and nothing else: its retries, budgets, caches, callbacks and telemetry are off, it
reads neither prices from the network nor a ``.env`` from the working directory, follows no redirects, and takes no
address from the environment. A proxy named in the environment is used.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from maestro.llm.model import Chunk, Completion, ProviderCall, ProviderError
from maestro.llm.providers import openai_wire as wire
from maestro.llm.providers.bounded import Bounded
from maestro.llm.providers.telling import endless, late, placed

_IMPORTING = threading.Lock()
_KINDS = (
    ("AuthenticationError", "auth"),
    ("PermissionDeniedError", "auth"),
    ("ContextWindowExceededError", "context"),
    ("ContentPolicyViolationError", "refused"),
    ("RateLimitError", "rate_limit"),
    ("Timeout", "timeout"),
    ("APIResponseValidationError", "garbage"),
    ("BadGatewayError", "unavailable"),
    ("ServiceUnavailableError", "unavailable"),
    ("InternalServerError", "unavailable"),
    ("BadRequestError", "bad_request"),
    ("NotFoundError", "bad_request"),
    ("UnprocessableEntityError", "bad_request"),
)
"""litellm's exceptions; those that are kinds of another one stand before it."""
_NEXT = {
    "auth": "check the key (`maestro llm models` shows where it is read from), and what it may do",
    "context": "shorten the input, or use a model with a larger context",
    "bad_request": "check `api_base` in models.yaml, and `wire_model`, the model's name there",
    "garbage": "see whether the model's server is healthy, or ask another model",
}
_BYTES = 8 * 1024 * 1024


class LiteLLM:
    """A provider by litellm's name of it.

    Args:
        provider: litellm's name (``anthropic``, ``gemini``, ``bedrock`` …).
        name: as the catalogue names it.
    """

    def __init__(self, provider: str, *, name: str | None = None) -> None:
        self.name = name or provider
        self._provider = provider

    def __repr__(self) -> str:
        return f"LiteLLM({self.name!r})"

    async def complete(self, call: ProviderCall) -> Completion:
        """The whole answer; see ``Provider``."""
        litellm = await _loaded()
        try:
            async with asyncio.timeout(call.timeout):
                answer = await litellm.acompletion(**self._arguments(call))
            return wire.completion(_plain(answer))
        except Exception as error:  # noqa: BLE001 - litellm lets all sorts of errors through
            raise self._told(litellm, error, call) from None

    async def stream(self, call: ProviderCall) -> AsyncIterator[Chunk]:
        """The answer as it comes; see ``Provider``."""
        litellm = await _loaded()
        now = asyncio.get_running_loop().time()
        deadline, waiting = now + call.timeout, now + min(call.timeout, call.first_byte)
        pieces: Any = None
        size = 0
        finished = False
        try:
            async with asyncio.timeout_at(waiting):
                arguments = self._arguments(call) | {"stream": True, "stream_options": {"include_usage": True}}
                pieces = await litellm.acompletion(**arguments)
            while True:
                async with asyncio.timeout_at(waiting):
                    piece = await anext(pieces, None)
                if piece is None:
                    break
                waiting = deadline
                found = wire.chunk(_plain(piece))
                if found is None:
                    continue
                size += len(found.text)
                if size > call.byte_limit:
                    raise endless(call.byte_limit)
                finished = finished or found.finish is not None
                yield found
            if not finished:
                raise wire.garbage("the answer ended in the middle")
        except Exception as error:  # noqa: BLE001 - as above
            raise self._told(litellm, error, call) from None
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    async def healthy(self, call: ProviderCall) -> str | None:
        """Whether the address in ``models.yaml`` answers, and with no 5xx; without one, what is known here.

        litellm has no question that costs nothing, and each provider wants its key in another place, so none is sent
        and nothing is said of it.
        """
        try:
            self._arguments(call)
        except ProviderError as error:
            return error.what
        if call.api_base is None:
            return None
        place = f"{self.name} at {urlsplit(call.api_base).hostname or '?'}"
        try:
            url = f"{call.api_base.rstrip('/')}/models"
            async with (
                asyncio.timeout(call.first_byte),
                httpx.AsyncClient() as client,
                client.stream("GET", url) as response,
            ):
                status = response.status_code
        except TimeoutError:
            return f"{place} did not answer within {call.first_byte:g} s"
        except Exception as error:  # noqa: BLE001 - whatever the network does, it is not healthy
            return f"{place} does not answer ({type(error).__name__})"
        return f"{place} answers {status}" if status >= 500 else None

    async def close(self) -> None:
        """litellm keeps its connections for all; they end when they are idle."""

    def _arguments(self, call: ProviderCall) -> dict[str, Any]:
        if call.api_base is None:
            prefix = self._provider.upper()
            for variable in (f"{prefix}_API_BASE", f"{prefix}_BASE_URL"):
                if os.environ.get(variable):
                    raise ProviderError(
                        f"{self.name}: {variable} is set, and calls go only where models.yaml says",
                        kind="bad_request",
                        sent=False,
                        next_step=f"write the address as `api_base` of the provider, or unset {variable}",
                    )
        # litellm keeps `metadata` for its own callbacks.
        options = {name: value for name, value in call.options.items() if name != "metadata"}
        return {
            **options,
            "model": f"{self._provider}/{call.wire_model}",
            "messages": [wire.wire_message(message) for message in call.messages],
            "max_tokens": call.max_output_tokens,
            "temperature": call.temperature,
            "api_key": call.api_key,
            "api_base": call.api_base,
            "timeout": call.timeout,
            "num_retries": 0,
            "max_retries": 0,
            "caching": False,
            "no-log": True,
        }

    def _told(self, litellm: Any, error: Exception, call: ProviderCall) -> ProviderError:
        """What went wrong, in our words."""
        known = _within(error, ProviderError)
        if isinstance(known, ProviderError):
            return known if known.what.startswith(self.name) else placed(known, self.name, call.api_key)
        if isinstance(error, TimeoutError):
            return late(self.name, call.timeout)
        kind = next((kind for name, kind in _KINDS if isinstance(error, getattr(litellm, name))), None)
        unreached = _within(error, httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
        if unreached is not None:
            kind = "unavailable"
        elif kind is None:
            # APIConnectionError is also what litellm makes of an answer it cannot read.
            kind = "unavailable" if _within(error, httpx.TransportError) else "garbage"
        status = getattr(error, "status_code", None)
        refused = kind in ("auth", "context", "refused", "rate_limit", "bad_request")
        # litellm also gives a status of 500 to what broke off, where the model may have worked.
        broke_off = hasattr(error, "generated_content") or _within(error, httpx.TransportError) is not None
        down = kind == "unavailable" and status in (500, 503, 529) and not broke_off
        said = str(getattr(error, "message", "") or error).removeprefix("litellm.")
        return placed(
            ProviderError(
                said or type(error).__name__,
                kind=kind,
                retry=kind in ("rate_limit", "unavailable"),
                retry_after=wire.retry_after(_headers(error)),
                sent=not (refused or down or unreached is not None),
                next_step=_NEXT.get(kind),
            ),
            self.name,
            call.api_key,
        )


async def _loaded() -> Any:
    """litellm, imported in a thread when it is not there yet."""
    module = _ready.get("litellm")
    return module if module is not None else await asyncio.to_thread(_import)


_ready: dict[str, Any] = {}


def _import() -> Any:
    with _IMPORTING:
        if "litellm" in _ready:
            return _ready["litellm"]
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        # Otherwise it loads a .env of the working directory, which is a checkout, into this process.
        os.environ["LITELLM_MODE"] = "PRODUCTION"
        os.environ.setdefault("LITELLM_LOG", "ERROR")
        try:
            import litellm
        except ImportError as error:
            raise ProviderError(
                f"this provider needs litellm, which is not installed ({error.name or 'broken'})",
                kind="unavailable",
                sent=False,
                next_step="pip install 'maestro-conductor[models]'",
            ) from None
        _quiet(litellm)
        _bounded(litellm)
        _ready["litellm"] = litellm
        return litellm


def _quiet(litellm: Any) -> None:
    """Nothing of it logs, counts, retries or keeps anything."""
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.set_verbose = False
    litellm.turn_off_message_logging = True
    litellm.drop_params = False
    litellm.modify_params = False
    litellm.num_retries = 0
    litellm.cache = None
    for name in ("callbacks", "success_callback", "failure_callback", "input_callback", "service_callback",
                 "_async_success_callback", "_async_failure_callback"):  # fmt: skip
        setattr(litellm, name, [])
    for logger in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "litellm"):
        found = logging.getLogger(logger)
        # It may log whole requests, headers too.
        found.handlers.clear()
        found.propagate = False
        found.disabled = True


def _bounded(litellm: Any) -> None:
    """It follows no redirect, which would carry a key along, reads no endless answer, and sends nothing twice."""
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
    from litellm.llms.openai.common_utils import BaseOpenAILLM

    litellm.disable_aiohttp_transport = True
    make = AsyncHTTPHandler.create_client
    make_for_openai = BaseOpenAILLM._get_async_http_client

    def create_client(self: Any, *arguments: Any, **named: Any) -> httpx.AsyncClient:
        return _strict(make(self, *arguments, **named))

    def create_for_openai(*arguments: Any, **named: Any) -> httpx.AsyncClient:
        return _strict(make_for_openai(*arguments, **named) or httpx.AsyncClient(timeout=None))

    async def not_again(*_arguments: Any, **_named: Any) -> httpx.Response:
        # It would send the request a second time after a connection broke, and the model be paid twice.
        raise sys.exc_info()[1] or httpx.RemoteProtocolError("the connection broke")

    # There is no setting for it; tests send redirects and broken connections through both.
    AsyncHTTPHandler.single_connection_post_request = not_again  # type: ignore[method-assign]  # the seam
    AsyncHTTPHandler.create_client = create_client  # type: ignore[method-assign]  # the seam
    BaseOpenAILLM._get_async_http_client = staticmethod(create_for_openai)  # type: ignore[method-assign]  # the seam
    litellm.in_memory_llm_clients_cache.flush_cache()


def _strict(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.follow_redirects = False
    client.headers["accept-encoding"] = "identity"
    client.event_hooks["response"] = [*client.event_hooks["response"], _bound]
    return client


async def _bound(response: httpx.Response) -> None:
    if response.is_redirect:
        raise wire.refusal(response.status_code, {}, {})
    if response.headers.get("content-encoding", "identity") != "identity":
        raise wire.garbage("it compressed the answer, which was not asked for")
    response.stream = Bounded(response.stream, _BYTES)


def _plain(answer: Any) -> Mapping[str, Any]:
    found = answer.model_dump(exclude_none=True) if hasattr(answer, "model_dump") else answer
    if not isinstance(found, dict):
        raise wire.garbage("the answer is none that litellm can read")
    return found


def _within(error: BaseException | None, *kinds: type[BaseException]) -> BaseException | None:
    """The first of these kinds among the error and what caused it."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, kinds):
            return error
        error = error.__cause__ or error.__context__
        seen += 1
    return None


def _headers(error: Exception) -> Mapping[str, str]:
    for place in (getattr(error, "response", None), error):
        found = getattr(place, "headers", None) or getattr(place, "litellm_response_headers", None)
        if found:
            return {str(name).lower(): str(value) for name, value in dict(found).items()}
    return {}
