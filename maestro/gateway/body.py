"""Reads a request's body within bounds: of one body, of all bodies together, and of time."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractContextManager, aclosing
from types import TracebackType

from starlette.requests import ClientDisconnect, Request

from maestro.gateway.refusal import RefusedError, unavailable

SECONDS = 20.0
"""How long a body may take to arrive."""


class Budget:
    """Bytes of bodies held in memory, all together; used from several threads.

    Args:
        most: above it bodies are refused, but for one at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes held now."""
        return self._used

    def share(self) -> Share:
        """A part of it that grows, for one body."""
        return Share(self)

    def take(self, size: int, held: int) -> bool:
        """Adds ``size`` for a body that holds ``held`` already; False when there is no room."""
        with self._lock:
            if self._used + size > self._most and self._used > held:
                return False
            self._used += size
            return True

    def give_back(self, size: int) -> None:
        """Takes ``size`` off again."""
        with self._lock:
            self._used -= size


class Share(AbstractContextManager["Share"]):
    """What one body takes of a budget; given back at the end of the block, or later when it was passed on."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        self._passed_on = False

    def grow(self, size: int) -> bool:
        """False when there is no room."""
        if not self._budget.take(size, self._size):
            return False
        self._size += size
        return True

    def pass_on(self) -> None:
        """The end of the block gives nothing back; ``release`` does."""
        self._passed_on = True

    def release(self) -> None:
        """Gives it back."""
        self._budget.give_back(self._size)
        self._size = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._passed_on:
            self.release()


async def read_body(request: Request, limit: int, share: Share, seconds: float = SECONDS) -> bytes:
    """The body, of at most ``limit`` bytes, whatever its headers say of its length.

    Raises:
        RefusedError: 413, it is longer; 408, it did not arrive in time; 400, it ended early; 503, there is no room now.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, limit, share)
    except TimeoutError:
        raise RefusedError(408, "slow", f"the body did not arrive in {seconds:g} seconds") from None
    except ClientDisconnect:
        raise RefusedError(400, "truncated", "the body ended early") from None


async def _read(request: Request, limit: int, share: Share) -> bytes:
    # What is not read here the connection reads and throws away, so that the sender gets to the answer.
    declared = request.headers.get("content-length", "")
    # Longer than any number that is meant; Python would refuse to read it.
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > limit):
        raise _too_long(limit)
    chunks: list[bytes] = []
    size = 0
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            size += len(chunk)
            if size > limit:
                raise _too_long(limit)
            if not share.grow(len(chunk)):
                raise unavailable("busy", "too much is being taken in at once")
            chunks.append(chunk)
    return b"".join(chunks)


def _too_long(limit: int) -> RefusedError:
    return RefusedError(413, "too_long", f"the body is longer than {limit} bytes", next_step="raise gateway.body_limit")
