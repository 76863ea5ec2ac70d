"""The provider that is always there: no model, no network; see ``maestro.llm.offline`` for what it answers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence

from maestro.llm.model import Chunk, Completion, Message, ProviderCall, ProviderError, Usage
from maestro.llm.offline.answer import answer_lines
from maestro.llm.offline.text import LABEL, Deadline

MOST_BYTES = 16 * 1024 * 1024
"""Of all messages together."""
_LONGEST = 30.0
_RESERVE = 0.8
"""Part of the timeout an answer may use, so that what was left out for want of time is said and not lost."""
_BYTES_PER_TOKEN = 4


class OfflineProvider:
    """Answers out of the messages alone, the same to the same; every text begins with ``[offline]``."""

    def __init__(self, name: str = "offline") -> None:
        self.name = name

    async def complete(self, call: ProviderCall) -> Completion:
        """The whole answer; see ``Provider``."""
        text, finish = await self._answer(call)
        return Completion(text, _usage(call, text), finish, {"role": "assistant", "content": text})

    async def stream(self, call: ProviderCall) -> AsyncIterator[Chunk]:
        """The answer, a line at a time."""
        text, finish = await self._answer(call)
        for line in text.splitlines(keepends=True):
            yield Chunk({"content": line})
            # Whoever reads may stop between two lines.
            await asyncio.sleep(0)
        yield Chunk({}, finish, _usage(call, text))

    async def healthy(self, call: ProviderCall) -> str | None:
        """It is."""
        return None

    async def close(self) -> None:
        """Nothing is open."""

    async def _answer(self, call: ProviderCall) -> tuple[str, str]:
        """Text and how it ended."""
        size = sum(len(one.content) for one in call.messages)
        if size > MOST_BYTES:
            raise ProviderError(
                f"the messages have {size / 1024**2:.0f} MiB; the offline provider reads {MOST_BYTES // 1024**2} MiB",
                kind="context",
                sent=False,
                next_step="ask with less",
            )
        deadline = Deadline(time.monotonic() + min(call.timeout * _RESERVE, _LONGEST))
        try:
            async with asyncio.timeout(call.timeout):
                return await asyncio.to_thread(_text, call, deadline)
        except TimeoutError:
            raise ProviderError(
                f"the offline answer was not there within {call.timeout:g} s",
                kind="timeout",
                sent=False,
                next_step="give it more time",
            ) from None
        finally:
            deadline.cancelled = True


def _text(call: ProviderCall, deadline: Deadline) -> tuple[str, str]:
    """As many whole lines as may be; of a first line that is too long as much as may be, the label in any case."""
    room = min(call.max_output_tokens * _BYTES_PER_TOKEN, call.byte_limit)
    kept: list[str] = []
    for line in answer_lines(call.messages, deadline):
        piece = line.encode("utf-8", "replace").decode("utf-8") + "\n"
        room -= len(piece.encode("utf-8"))
        if room < 0:
            if not kept:
                kept.append(max(piece.encode("utf-8")[:room].decode("utf-8", "ignore"), LABEL, key=len))
            return "".join(kept), "length"
        kept.append(piece)
    return "".join(kept), "stop"


def _usage(call: ProviderCall, text: str) -> Usage:
    return Usage(_tokens(call.messages), min(_count(text), call.max_output_tokens), estimated=True)


def _tokens(messages: Sequence[Message]) -> int:
    return sum(_count(one.content) for one in messages)


def _count(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN)
