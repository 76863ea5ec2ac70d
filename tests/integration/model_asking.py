"""One call of a provider, from code that has no event loop."""

from __future__ import annotations

import asyncio

from maestro.llm.model import Chunk, Completion, Provider, ProviderCall


def complete(provider: Provider, call: ProviderCall) -> Completion:
    async def asking() -> Completion:
        try:
            return await provider.complete(call)
        finally:
            await provider.close()

    return asyncio.run(asking())


def streamed(provider: Provider, call: ProviderCall) -> list[Chunk]:
    async def asking() -> list[Chunk]:
        try:
            return [piece async for piece in provider.stream(call)]
        finally:
            await provider.close()

    return asyncio.run(asking())
