"""A fact about the world that is looked up now and then, never while somebody waits if an older one will do."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Refreshed(Generic[T]):
    """The last value of ``look``; after ``fresh`` seconds it is looked up again behind the caller's back.

    Args:
        look: gives the fact; when it raises, the old one stays.
        otherwise: until it has been looked up, where that fails.
        fresh: seconds.
        stale: seconds after which an old value is not given unless looking takes longer than ``patience``.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[T]],
        otherwise: T,
        *,
        fresh: float = 5.0,
        stale: float = 30.0,
        patience: float = 2.0,
    ) -> None:
        self._look = look
        self._value = otherwise
        self._fresh = fresh
        self._stale = stale
        self._patience = patience
        self._at: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def value(self) -> T:
        """The fact, as it was a few seconds ago."""
        now = time.monotonic()
        if self._at is not None and now - self._at < self._fresh:
            return self._value
        old = self._at is None or now - self._at > self._stale
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._again())
        if old:
            await asyncio.wait([self._task], timeout=self._patience)
            self._at = time.monotonic()
        return self._value

    async def close(self) -> None:
        """Nothing is looked up any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _again(self) -> None:
        try:
            self._value = await self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the old fact has to do
            _LOG.debug("a fact could not be looked up: %s", type(error).__name__)
        self._at = time.monotonic()
