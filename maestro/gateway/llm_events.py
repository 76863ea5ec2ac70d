"""An answer as server-sent events, settled however it ends, and how a request ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from maestro.errors import MaestroError
from maestro.gateway import llm_wire
from maestro.gateway.llm_failure import LlmError, failure_of
from maestro.llm.answer_stream import AnswerStream
from maestro.llm.model import Answer, Chunk

LOG = logging.getLogger(__name__)
CLIENT_GONE = "client_gone"
DEFECT = LlmError(500, "this is a defect of Maestro; its log says more", "server_error", "defect")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended.

    Args:
        outcome: ``ok``, or the code of its failure.
        answer: when there is one.
        error: what happened in its place.
        streaming: the model whose answer had begun.
        spent: nanodollars, where that is known of a stream.
    """

    outcome: str
    answer: Answer | None = None
    error: Exception | None = None
    streaming: str = ""
    spent: int | None = None

    @property
    def cost_nano(self) -> int | None:
        """What it cost; None where nobody knows, as nothing may have been asked."""
        if self.answer is not None:
            return self.answer.cost_nano
        return getattr(self.error, "cost_nano", None) if self.spent is None else self.spent


class EventStream(Response):
    """Server-sent events of an answer; whatever happens to the connection, the answer is closed and so settled.

    Args:
        finally_: called once, at the end.
    """

    def __init__(self, stream: AnswerStream, *, usage: bool, finally_: Callable[[], None]) -> None:
        super().__init__(
            status_code=200,
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no", "x-maestro-decision": stream.decision.id},
        )
        # A body of unknown length.
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        self._stream = stream
        self._pieces = llm_wire.Pieces(stream.decision.id, stream.model, usage=usage)
        self._finally = finally_
        self._tell: Callable[[Ending], None] = lambda _ending: None
        self._outcome = CLIENT_GONE
        self._error: Exception | None = None

    def when_ended(self, tell: Callable[[Ending], None]) -> None:
        """``tell`` is called when all is sent and settled, or the client is gone."""
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the pieces as they come, until the client is gone."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            sending.cancel()
            # Closing must end even where this task is being cancelled: it settles what was used.
            await asyncio.shield(asyncio.create_task(self._close((sending, leaving))))

    async def _close(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stream.aclose()
        finally:
            self._finally()
            answer = self._stream.answer
            cost = self._stream.cost_nano if answer is None else answer.cost_nano
            self._tell(Ending(self._outcome, answer, self._error, self._stream.model, cost))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for chunk in self._stream:
                event = self._event(chunk)
                if event:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            answer = self._stream.answer
            last = self._pieces.end(answer) if answer is not None else llm_wire.DONE
            self._outcome = "ok"
        except MaestroError as error:
            last = self._failed(failure_of(error), error)
        except OSError:
            return
        except Exception as error:
            LOG.exception("a stream of the OpenAI-compatible endpoint failed")
            last = self._failed(DEFECT, error)
        with suppress(OSError):
            await send({"type": "http.response.body", "body": last, "more_body": False})

    def _failed(self, failure: LlmError, error: Exception) -> bytes:
        self._outcome, self._error = failure.outcome, error
        return f"data: {failure.text()}\n\n".encode()

    def _event(self, chunk: Chunk) -> bytes | None:
        return self._pieces.piece(chunk)


async def left(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        continue
