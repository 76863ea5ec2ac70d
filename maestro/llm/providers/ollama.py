"""The provider "ollama": models on the own machine, over ``/api/chat``, always streamed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from maestro.errors import InputError
from maestro.llm.model import Chunk, Completion, ProviderCall, ProviderError, Usage
from maestro.llm.ollama import trouble, wire
from maestro.llm.ollama.client import OllamaClient
from maestro.llm.ollama.desk import OllamaDesk
from maestro.llm.ollama.facts import same_name
from maestro.llm.ollama.memory import Memory

READY_SECONDS = 10.0
"""A model that was just used is taken to be loaded for so long, so that not every call looks at memory."""
_LINE_BYTES = 64
"""What every line counts toward the limit of an answer beside its text, so that an endless one of empty lines ends."""


class OllamaProvider:
    """See ``Provider``. Calls that name no ``api_base`` go to ``url``.

    Args:
        url: as OLLAMA_HOST is written; None: as OLLAMA_HOST is when a call is made.
        pulls: whether a missing model is fetched when it is called, within the call's time.
        memory: looks at the machine; None: as it is.
    """

    def __init__(
        self,
        name: str = "ollama",
        *,
        url: str | None = None,
        pulls: bool = False,
        memory: Callable[[], Memory] | None = None,
    ) -> None:
        self.name = name
        self._url = url
        self._pulls = pulls
        self._memory = memory
        self._desks: dict[tuple[str, str | None], OllamaDesk] = {}
        self._ready: dict[tuple[str, str], tuple[float, int]] = {}

    def __repr__(self) -> str:
        return f"OllamaProvider({self.name!r})"

    def desk(self, api_base: str | None = None, api_key: str | None = None) -> OllamaDesk:
        """The Ollama calls with this address go to; its state is what a decision wants.

        Raises:
            InputError: the address cannot be used.
        """
        address = api_base or self._url or os.environ.get("OLLAMA_HOST") or ""
        desk = self._desks.get((address, api_key))
        if desk is None:
            client = OllamaClient(address, key=api_key)
            desk = self._desks[(address, api_key)] = OllamaDesk(client, pulls=self._pulls, memory=self._memory)
        return desk

    async def complete(self, call: ProviderCall) -> Completion:
        """The whole answer; see ``Provider``."""
        parts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
        calls: list[dict[str, Any]] = []
        ended, used = "stop", Usage(estimated=True)
        async with aclosing(self._stream(call)) as pieces:
            async for piece in pieces:
                for name, texts in parts.items():
                    if piece.delta.get(name):
                        texts.append(piece.delta[name])
                calls.extend(piece.delta.get("tool_calls", ()))
                ended, used = piece.finish or ended, piece.usage or used
        text, thought = ("".join(parts[name]) for name in parts)
        raw: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
        if thought:
            raw["reasoning_content"] = thought
        if calls:
            raw["tool_calls"] = [{name: one[name] for name in one if name != "index"} for one in calls]
        return Completion(text, used, ended, raw)

    async def stream(self, call: ProviderCall) -> AsyncIterator[Chunk]:
        """The answer as it comes; see ``Provider``."""
        async with aclosing(self._stream(call)) as pieces:
            async for piece in pieces:
                yield piece

    async def healthy(self, call: ProviderCall) -> str | None:
        """Why the model cannot be used: Ollama is not there, has no such model, or no memory for it; None: it can."""
        try:
            desk = self._asked(call)
        except ProviderError as error:
            return error.what
        try:
            async with asyncio.timeout(call.first_byte):
                await desk.client.version()
                present = await desk.client.present()
                if not any(same_name(one.name, call.wire_model) for one in present):
                    return None if desk.pulls else (await desk.client.missing(call.wire_model)).what
                verdict = await desk.fit(call.wire_model)
        except TimeoutError:
            return f"Ollama at {desk.client.url} did not answer within {call.first_byte:g} s"
        except ProviderError as error:
            return error.what
        return None if verdict.fits else verdict.why

    async def close(self) -> None:
        """Ends its connections."""
        desks, self._desks = self._desks, {}
        for desk in desks.values():
            await desk.close()

    async def _stream(self, call: ProviderCall) -> AsyncGenerator[Chunk, None]:
        desk = self._asked(call)
        url = desk.client.url
        clock = asyncio.get_running_loop().time
        end = clock() + call.timeout
        try:
            async with asyncio.timeout(call.timeout):
                context = await self._prepared(desk, call)
                body = wire.payload(call, context)
        except TimeoutError:
            error = trouble.late(url, call.timeout, "an answer")
            error.sent = False
            raise error from None
        except ProviderError as error:
            # Whatever went wrong, the model has not been asked yet.
            error.sent = False
            raise
        received = called = 0
        left = call.byte_limit
        async with aclosing(desk.client.lines("/api/chat", body, model=call.wire_model)) as lines:
            first = True
            while True:
                patience = min(end - clock(), call.first_byte) if first else end - clock()
                try:
                    # Not around the whole loop: a generator must not hold a timeout while its caller works.
                    async with asyncio.timeout(max(0.0, patience)):
                        line = await anext(lines, None)
                except TimeoutError:
                    what = "anything" if first and patience == call.first_byte else "the whole answer"
                    raise trouble.late(url, call.first_byte if what == "anything" else call.timeout, what) from None
                if line is None:
                    raise trouble.broken("the answer ended in the middle: Ollama never said that it is done")
                first = False
                piece = wire.chunk(line, called)
                size = sum(len(text.encode()) for text in piece.delta.values() if isinstance(text, str))
                calls = piece.delta.get("tool_calls", ())
                received, called = received + size, called + len(calls)
                left -= size + _LINE_BYTES + sum(len(one["function"]["arguments"]) for one in calls)
                if left < 0:
                    raise trouble.broken(f"the answer does not end: more than {call.byte_limit:,} bytes came")
                if line.get("done"):
                    self._ready[(url, call.wire_model)] = (time.monotonic() + READY_SECONDS, context)
                    used = wire.usage(line, call.messages, received)
                    yield Chunk(piece.delta, wire.finish(line, called), used)
                    return
                if piece.delta:
                    yield piece

    def _asked(self, call: ProviderCall) -> OllamaDesk:
        try:
            return self.desk(call.api_base, call.api_key)
        except InputError as error:
            raise ProviderError(error.what, kind="bad_request", sent=False, next_step=error.next_step) from None

    async def _prepared(self, desk: OllamaDesk, call: ProviderCall) -> int:
        """The context to load the model for, when the model is there and goes into memory.

        Raises:
            ProviderError: it does not, or the input is longer than the model was made for.
        """
        model = call.wire_model
        wanted = wire.context_for(call)
        until, loaded_for = self._ready.get((desk.client.url, model), (0.0, 0))
        if until > time.monotonic() and loaded_for >= wanted and "num_ctx" not in call.options:
            return loaded_for
        if desk.pulls:
            await desk.ensure(model)
        facts = await desk.facts(model)
        wanted = max(wanted, loaded_for if "num_ctx" not in call.options else 0)
        if facts.context:
            least = wire.estimated_input(call.messages) + call.max_output_tokens
            if least > facts.context:
                raise ProviderError(
                    f"{model} was made for {facts.context:,} tokens; input and answer are about {least:,}",
                    kind="context",
                    sent=False,
                    next_step="shorten the input, ask for a shorter answer, or use a model with a larger context",
                )
            wanted = min(wanted, facts.context)
        await desk.make_room(model, wanted)
        return wanted
