"""Talks to one Ollama: what it has, what is loaded, and its streams of JSON lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any

from maestro.llm.model import ProviderError
from maestro.llm.ollama import trouble
from maestro.llm.ollama.facts import LoadedModel, ModelFacts, PresentModel, facts_of, full_name, nearest
from maestro.llm.ollama.host import is_local, ollama_url
from maestro.llm.ollama.lines import message_in, object_in, transport_to, whole_lines

if TYPE_CHECKING:
    import httpx
    import ollama

CONNECT_SECONDS = 5.0


class OllamaClient:
    """One Ollama server. Its connections belong to the event loop that uses it.

    Facts are asked for with the ``ollama`` package. Streams are read here: the package has no limit on what it reads,
    and its model of a tool drops what it does not know of a JSON Schema.

    Args:
        url: as OLLAMA_HOST is written; None: the default. The environment is not read.
        key: sent as a bearer token, for an Ollama behind a proxy that wants one.
        seconds: until a question about facts is answered.
    """

    def __init__(self, url: str | None = None, *, key: str | None = None, seconds: float = 10.0) -> None:
        self.url = ollama_url(url)
        self.local = is_local(self.url)
        self._key = key
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx.AsyncClient | None = None
        self._api: ollama.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"OllamaClient({self.url!r})"

    async def version(self) -> str:
        """Its version.

        Raises:
            ProviderError: it does not run, or what answers is no Ollama.
        """
        async with self._answering():
            # The package has no question for it.
            response = await self._clients()[0].get("/api/version")
            if response.status_code in (401, 403) or response.status_code >= 500:
                raise trouble.no_version(self.url, response.status_code)
            body = response.json() if response.status_code == 200 else None
            if not isinstance(body, dict) or not isinstance(body.get("version"), str):
                raise trouble.broken(f"what answers at {self.url} is no Ollama: it does not tell its version")
            return str(body["version"])

    async def running(self) -> str | None:
        """Its version; None when it cannot be used, for whatever reason."""
        try:
            return await self.version()
        except ProviderError:
            return None

    async def present(self) -> tuple[PresentModel, ...]:
        """The models on its disk, by name.

        Raises:
            ProviderError: it does not say.
        """
        import ollama

        async with self._answering():
            # The package drops where a model of Ollama's cloud is run.
            response = await self._clients()[0].get("/api/tags")
            if response.status_code != 200:
                raise ollama.ResponseError(response.text[:2000], response.status_code)
            body = response.json()
            listed = ollama.ListResponse.model_validate(body)
            remote = {str(one.get("model")): str(one.get("remote_host") or "") for one in body["models"]}
        found = (
            PresentModel(
                name=one.model or "",
                size=int(one.size or 0),
                digest=one.digest or "",
                parameters=(one.details and one.details.parameter_size) or "",
                quantization=(one.details and one.details.quantization_level) or "",
                family=(one.details and one.details.family) or "",
                remote=remote.get(one.model or "", ""),
            )
            for one in listed.models
        )
        return tuple(sorted((one for one in found if one.name), key=lambda one: one.name))

    async def loaded(self) -> tuple[LoadedModel, ...]:
        """The models in memory, by name.

        Raises:
            ProviderError: it does not say.
        """
        async with self._answering():
            running = await self._clients()[1].ps()
        found = (
            LoadedModel(
                name=one.model or one.name or "",
                size=int(one.size or 0),
                size_vram=int(one.size_vram or 0),
                context=one.context_length or 0,
                expires=one.expires_at if isinstance(one.expires_at, datetime) else None,
            )
            for one in running.models
        )
        return tuple(sorted((one for one in found if one.name), key=lambda one: one.name))

    async def show(self, model: str) -> ModelFacts:
        """What a model is.

        Raises:
            ProviderError: it is not present, or Ollama does not say.
        """
        async with self._answering(model):
            shown = await self._clients()[1].show(model)
        return facts_of(
            model,
            {
                "model_info": shown.modelinfo,
                "details": shown.details.model_dump() if shown.details else {},
                "parameters": shown.parameters,
                "capabilities": shown.capabilities,
            },
        )

    async def unload(self, model: str) -> None:
        """Takes a model out of memory once it has answered what it is asked (``keep_alive`` 0).

        Raises:
            ProviderError: Ollama does not do so.
        """
        async with self._answering(model):
            await self._clients()[1].generate(model, keep_alive=0)

    async def lines(
        self, path: str, body: Mapping[str, Any], *, model: str = ""
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of a streamed answer, one a line. The caller bounds time and the whole of it.

        Raises:
            ProviderError: it refuses, breaks off within a line, or sends what is no JSON object; a line with an
                ``error`` is one too.
        """
        try:
            data = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            what = f"the request cannot be written as JSON ({error})"
            raise ProviderError(what, kind="bad_request", sent=False) from None
        async with self._answering(model, timed=False):
            http = self._clients()[0]
            request = http.build_request("POST", path, content=data, headers={"content-type": "application/json"})
            response = await http.send(request, stream=True)
            try:
                if response.status_code != 200:
                    raise await self._refused(response, model)
                async for line in whole_lines(response):
                    yield object_in(line, model)
            finally:
                await response.aclose()

    async def missing(self, model: str) -> ProviderError:
        """The error for a model that is not present, with the names of those that may have been meant."""
        try:
            names = [one.name for one in await self.present()]
        except ProviderError:
            names = []
        return trouble.missing(model, nearest(full_name(model), names), names)

    async def close(self) -> None:
        """Ends its connections."""
        http, self._http, self._api = self._http, None, None
        if http is not None and self._loop is asyncio.get_running_loop():
            await http.aclose()

    async def _refused(self, response: httpx.Response, model: str) -> ProviderError:
        body = b""
        async for part in response.aiter_raw():
            body += part
            if len(body) > 64 * 1024:
                break
        message = message_in(body)
        if response.status_code == 404 and model:
            return await self.missing(model)
        return trouble.refusal(response.status_code, message, model)

    @asynccontextmanager
    async def _answering(self, model: str = "", *, timed: bool = True) -> AsyncIterator[None]:
        """Everything that goes wrong within becomes a ProviderError."""
        import httpx
        import ollama

        try:
            # A stream is handed out from within: its reader bounds its time.
            async with asyncio.timeout(self._seconds) if timed else nullcontext():
                yield
        except TimeoutError:
            if not timed:
                raise
            raise trouble.late(self.url, self._seconds, "an answer") from None
        except ollama.ResponseError as error:
            if error.status_code == 404 and model:
                raise await self.missing(model) from None
            raise trouble.refusal(error.status_code, str(error.error), model) from None
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL) as error:
            reason = "" if type(error) is ConnectionError else str(error)
            raise trouble.not_running(self.url, reason) from None
        except httpx.HTTPError as error:
            raise trouble.broken(
                f"the connection to Ollama at {self.url} broke ({trouble.said(str(error)) or type(error).__name__})"
            ) from None
        except (ValueError, AttributeError, TypeError, KeyError):
            # What the package raises on an answer that is no JSON, or not of Ollama's form.
            raise trouble.broken(f"what answers at {self.url} is no Ollama, or a broken one") from None

    def _clients(self) -> tuple[httpx.AsyncClient, ollama.AsyncClient]:
        import httpx
        import ollama

        loop = asyncio.get_running_loop()
        if self._http is None or self._api is None or self._loop is not loop:
            bearer = {"authorization": f"Bearer {self._key}"} if self._key else {}
            transport = transport_to(self._key is not None, tls=self.url.startswith("https:"))
            timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
            self._loop = loop
            self._http = httpx.AsyncClient(
                base_url=self.url,
                headers={**bearer, "accept-encoding": "identity"},
                timeout=timeout,
                transport=transport,
                trust_env=False,
            )
            self._api = ollama.AsyncClient(
                host=self.url,
                headers={**bearer, "accept-encoding": "identity"},
                follow_redirects=False,
                timeout=timeout,
                transport=transport,
                trust_env=False,
            )
        return self._http, self._api
