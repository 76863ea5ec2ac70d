"""OpenAI's chat completions over Maestro's gateway, so that other tools spend under the same budgets.

No answer carries CORS headers: a page in a browser has no business with a token.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from maestro.errors import MaestroError
from maestro.gateway import llm_wire
from maestro.gateway.body import Budget, read_body
from maestro.gateway.llm_failure import LlmError, failure_of, sentence
from maestro.gateway.llm_request import BODY_LIMIT, Asked, parse, read
from maestro.gateway.refusal import RefusedError
from maestro.llm.answer_stream import AnswerStream
from maestro.llm.endpoint_tokens import Token, TokenFile
from maestro.llm.gateway import Gateway
from maestro.llm.model import Answer, Chunk

LOG = logging.getLogger(__name__)
MOST_BODY_BYTES = 64 * 1024 * 1024
"""Bytes of all bodies that are being read or worked on."""
_LARGE_BODY = 256 * 1024
"""Reading the JSON of larger ones is left to a thread, so that nobody else waits for it."""
DEFECT = LlmError(500, "this is a defect of Maestro; its log says more", "server_error", "defect")
Log = Callable[..., None]
Handler = Callable[[Request], Awaitable[Response]]


class Endpoint:
    """The routes under ``/v1``.

    Args:
        gateway: opened when the first request with a good token comes.
        log: takes a line about each request; nothing of what was asked or answered.
    """

    def __init__(self, tokens: TokenFile, gateway: Callable[[], Awaitable[Gateway]], log: Log | None = None) -> None:
        self._tokens = tokens
        self._gateway = gateway
        self._log = log or (lambda **_values: None)
        self._bodies = Budget(MOST_BODY_BYTES)
        self._on_their_way: Counter[str] = Counter()

    def routes(self) -> list[Route]:
        """For an application, or to be mounted in one."""
        return [
            Route("/v1/chat/completions", self._answered("completions", self._completions), methods=["POST"]),
            Route("/v1/models", self._answered("models", self._models), methods=["GET"]),
            Route("/v1/models/{name:path}", self._answered("model", self._model), methods=["GET"]),
        ]

    def _answered(self, name: str, handler: Callable[[Request, Token], Awaitable[Response]]) -> Handler:
        async def answered(request: Request) -> Response:
            began = time.perf_counter()
            token: Token | None = None
            try:
                token = self._token(request)
                response = await handler(request, token)
                code = "ok"
            except (LlmError, MaestroError) as error:
                failure = error if isinstance(error, LlmError) else failure_of(error)
                response, code = refused(failure), failure.code or failure.type
            except Exception:
                LOG.exception("a request of the OpenAI-compatible endpoint failed")
                response, code = refused(DEFECT), "defect"
            self._log(
                llm=name,
                status=response.status_code,
                outcome=code,
                token=token.id if token else "",
                decision=response.headers.get("x-maestro-decision", ""),
                ms=round((time.perf_counter() - began) * 1000, 1),
            )
            return response

        return answered

    def _token(self, request: Request) -> Token:
        kind, _, written = request.headers.get("authorization", "").partition(" ")
        try:
            found = self._tokens.find(written.strip(), datetime.now(UTC)) if kind.lower() == "bearer" else None
        except MaestroError as error:
            LOG.error("%s", sentence(error))
            raise LlmError(503, "tokens cannot be checked right now", "server_error", "unavailable") from None
        if found is None:
            raise LlmError(
                401,
                "no token that counts: send 'Authorization: Bearer …' with one of `maestro llm tokens add`",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
        return found

    async def _models(self, _request: Request, _token: Token) -> Response:
        gateway = await self._gateway()
        return JSONResponse(llm_wire.models(gateway.catalogue, time.time()))

    async def _model(self, request: Request, _token: Token) -> Response:
        gateway = await self._gateway()
        name = request.path_params["name"]
        found = llm_wire.model(gateway.catalogue, name, time.time())
        if found is None:
            near = gateway.catalogue.nearest(name)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise LlmError(404, f"there is no model '{name[:120]}'{hint}", code="model_not_found", param="model")
        return JSONResponse(found)

    async def _completions(self, request: Request, token: Token) -> Response:
        if self._on_their_way[token.id] >= token.at_once:
            raise LlmError(
                429,
                f"this token has {token.at_once} requests on their way, and may have no more at once",
                "rate_limit_error",
                "too_many_at_once",
                headers={"retry-after": "1"},
            )
        self._on_their_way[token.id] += 1
        stream: AnswerStream | None = None
        try:
            asked = await self._asked(request)
            gateway = await self._gateway()
            if not asked.stream:
                answer = await _while_connected(request, gateway.ask(asked.request, token.attribution()))
                return JSONResponse(llm_wire.whole(answer, time.time()), headers=_headers(answer))
            stream = await _while_connected(request, gateway.stream(asked.request, token.attribution()))
            return EventStream(stream, usage=asked.usage, finally_=lambda: self._over(token))
        finally:
            if stream is None:
                self._over(token)

    def _over(self, token: Token) -> None:
        self._on_their_way[token.id] -= 1
        if not self._on_their_way[token.id]:
            del self._on_their_way[token.id]

    async def _asked(self, request: Request) -> Asked:
        with self._bodies.share() as share:
            try:
                body = await read_body(request, BODY_LIMIT, share)
            except RefusedError as refusal:
                message = f"the body is longer than {BODY_LIMIT} bytes" if refusal.status == 413 else refusal.what
                raise LlmError(refusal.status, message, code=refusal.reason) from None
            cache = not {"no-store", "no-cache"} & _words(request.headers.get("cache-control", ""))
            max_usd = request.headers.get("x-maestro-max-usd")

            def made() -> Asked:
                return read(parse(body), max_usd=max_usd, cache=cache)

            return await asyncio.to_thread(made) if len(body) > _LARGE_BODY else made()


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the pieces as they come, until the client is gone."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
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

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for chunk in self._stream:
                event = self._event(chunk)
                if event:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            answer = self._stream.answer
            last = self._pieces.end(answer) if answer is not None else llm_wire.DONE
        except MaestroError as error:
            last = f"data: {failure_of(error).text()}\n\n".encode()
        except OSError:
            return
        except Exception:
            LOG.exception("a stream of the OpenAI-compatible endpoint failed")
            last = f"data: {DEFECT.text()}\n\n".encode()
        with suppress(OSError):
            await send({"type": "http.response.body", "body": last, "more_body": False})

    def _event(self, chunk: Chunk) -> bytes | None:
        return self._pieces.piece(chunk)


def refused(failure: LlmError) -> Response:
    """The answer that is an error."""
    return JSONResponse(failure.body(), status_code=failure.status, headers=dict(failure.headers))


def _headers(answer: Answer) -> Mapping[str, str]:
    return {"x-maestro-decision": answer.decision, "x-maestro-cost": llm_wire.cost_text(answer)}


async def _while_connected(request: Request, asking: Awaitable[Any]) -> Any:
    """What ``asking`` gives; ended when the client goes away, so that no more is spent than was used."""
    task = asyncio.ensure_future(asking)
    leaving = asyncio.create_task(_left(request.receive))
    try:
        await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        with suppress(asyncio.CancelledError, MaestroError):
            await _closed(await task)
        raise LlmError(499, "the client went away", "client_error", "client_gone")
    finally:
        leaving.cancel()
        if not task.done():
            task.cancel()


async def _closed(result: Any) -> None:
    """Ends a stream that began just when its client went away."""
    close = getattr(result, "aclose", None)
    if close is not None:
        await close()


async def _left(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        continue


def _words(header: str) -> set[str]:
    return {word.strip().lower() for word in header.split(",")}
