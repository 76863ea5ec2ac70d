"""A response whose body cannot be longer than it may be."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from typing import Any

import httpx

from maestro.llm.providers.telling import endless


class Bounded(httpx.AsyncByteStream):
    """Bytes of a response, cut off where the limit is.

    Args:
        stream: httpx's.
        limit: bytes; beyond them ProviderError is raised.
    """

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        begins = True
        async for data in self._stream:
            left -= len(data)
            if left < 0:
                raise endless(self._limit)
            # Server-sent events may begin with a byte order mark, which belongs to no line.
            yield data.removeprefix(codecs.BOM_UTF8) if begins else data
            begins = False

    async def aclose(self) -> None:
        """Ends the response."""
        await self._stream.aclose()
