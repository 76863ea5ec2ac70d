"""An answer that comes in pieces, and what it cost when it has ended, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from maestro.llm.assembly import Assembly
from maestro.llm.catalogue import Model
from maestro.llm.errors import StreamBrokenError
from maestro.llm.model import Answer, Attempt, Chunk, Decision, ProviderCall, ProviderError, Usage

if TYPE_CHECKING:
    from maestro.llm.course import Course
    from maestro.llm.gateway import Gateway
    from maestro.llm.grant import Grant


class AnswerStream:
    """Iterates over the pieces; ``answer`` is there after the last one. A context manager that settles when left.

    When the model breaks off, StreamBrokenError is raised with what had come: another model would begin anew, or go on
    with what it did not say. Leaving early settles what may have been used until then. For one task.
    """

    def __init__(
        self, gateway: Gateway, course: Course, grant: Grant, model: Model, pieces: AsyncIterator[Chunk], first: Chunk
    ) -> None:
        self.answer: Answer | None = None
        self._gateway = gateway
        self._course = course
        self._grant = grant
        self._model = model
        self._pieces = pieces
        self._first_token = time.monotonic() - course.began
        self._last_at = time.monotonic()
        self._restorer = course.redaction.restorer()
        self._assembly = Assembly()
        self._ready = [*self._take(first)]
        self._broken: StreamBrokenError | None = None
        self._ended = False

    @classmethod
    async def begin(
        cls, gateway: Gateway, course: Course, grant: Grant, model: Model, call: ProviderCall
    ) -> AnswerStream:
        """The stream of one model, once its first piece is there.

        Raises:
            ProviderError: nothing came.
        """
        pieces = gateway.provider(model).stream(call)
        try:
            first = await anext(pieces)
        except StopAsyncIteration:
            raise ProviderError(f"{model.provider}: the answer is empty", kind="garbage") from None
        except BaseException:
            await _closed(pieces)
            raise
        return cls(gateway, course, grant, model, pieces, first)

    @property
    def decision(self) -> Decision:
        """The decision this is the outcome of."""
        return self._course.decided

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._model.name

    @property
    def cost_nano(self) -> int:
        """What counts as spent, once it has ended; until then what failed before it has cost."""
        return self._course.cost_nano

    @property
    def received(self) -> str:
        """The text so far, with the personal data back in it."""
        return self._course.redaction.restore(self._assembly.text)

    def __aiter__(self) -> AnswerStream:
        return self

    async def __anext__(self) -> Chunk:
        if self._ready:
            return self._ready.pop(0)
        if self._broken is not None:
            raise self._broken
        if self._ended:
            raise StopAsyncIteration
        deadline = asyncio.get_running_loop().time() + self._course.left
        while not self._ready:
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await anext(self._pieces, None)
            except TimeoutError:
                late = f"{self._model.name} did not end within {self._course.request.timeout:g} s"
                raise await self._break_off(ProviderError(late, kind="timeout")) from None
            except ProviderError as error:
                raise await self._break_off(error) from None
            except BaseException:
                await self.aclose()
                raise
            if piece is None:
                self._finish()
                if not self._ready:
                    raise StopAsyncIteration
            else:
                self._last_at = time.monotonic()
                self._ready += self._take(piece)
        return self._ready.pop(0)

    async def aclose(self) -> None:
        """Ends it; what may have been used is settled. After the end: nothing."""
        self._leave()
        await _closed(self._pieces)

    async def __aenter__(self) -> AnswerStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # Somebody let go of it without closing it: the money must not stay set aside until the lease is over.
        if not getattr(self, "_ended", True):
            with contextlib.suppress(Exception):
                self._gateway.bookkeeper.in_loop(self._leave)

    def _take(self, piece: Chunk) -> list[Chunk]:
        self._assembly.add(piece)
        restored = piece if self._restorer is None else self._restorer.chunk(piece)
        return [restored]

    def _finish(self) -> None:
        """The model has said all."""
        self._ended = True
        rest = None if self._restorer is None else self._restorer.rest()
        if rest is not None:
            self._ready.append(rest)
        usage = self._assembly.usage or self._at_least(self._grant.bounds.whole(self._assembly.size))
        completion = self._assembly.completion(usage)
        self.answer = self._gateway.settled_answer(self._course, self._grant, completion, first_token=self._first_token)

    async def _break_off(self, error: ProviderError) -> StreamBrokenError:
        self._ended = True
        self._course.attempts.append(self._grant.failed(error, self._used()))
        self._broken = StreamBrokenError(
            f"the answer of {self._model.name} ended in the middle, after {len(self.received):,} characters: "
            f"{self._gateway.redactor.text(error.what)}",
            received=self.received,
            decision=self.decision,
            attempts=tuple(self._course.attempts),
            cost_nano=self._course.cost_nano,
            timed_out=error.kind == "timeout",
        )
        self._gateway.ended_badly(self._course, self._broken)
        await _closed(self._pieces)
        return self._broken

    def _leave(self) -> None:
        if self._ended:
            return
        self._ended = True
        attempt: Attempt = self._grant.left("cancelled", self._used())
        self._course.attempts.append(attempt)
        self._gateway.ended_badly(self._course, asyncio.CancelledError())

    def _used(self) -> Usage:
        """The most that may have been used until now."""
        if self._assembly.usage is not None and self._assembly.finish is not None:
            return self._assembly.usage
        idle = time.monotonic() - self._last_at
        return self._at_least(self._grant.bounds.broken_off(self._assembly.size, idle))

    def _at_least(self, guessed: Usage) -> Usage:
        """What was guessed, but no less than a count on the way said."""
        counted = self._assembly.counted
        if counted is None:
            return guessed
        return Usage(
            max(guessed.input_tokens, counted.input_tokens),
            max(guessed.output_tokens, counted.output_tokens),
            estimated=True,
        )


async def _closed(pieces: Any) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        with contextlib.suppress(Exception):
            await close()
