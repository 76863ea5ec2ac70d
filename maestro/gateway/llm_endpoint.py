"""OpenAI's chat completions over Maestro's gateway, so that other tools spend under the same budgets.

No answer carries CORS headers: a page in a browser has no business with a token.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maestro.errors import MaestroError
from maestro.gateway import llm_wire
from maestro.gateway.body import Budget, read_body
from maestro.gateway.llm_events import DEFECT, Ending, EventStream, left
from maestro.gateway.llm_failure import LlmError, failure_of, sentence
from maestro.gateway.llm_metrics import LlmMetrics
from maestro.gateway.llm_request import BODY_LIMIT, Asked, parse, read
from maestro.gateway.refusal import RefusedError
from maestro.llm.answer_stream import AnswerStream
from maestro.llm.catalogue import Catalogue
from maestro.llm.endpoint_tokens import Token, TokenFile
from maestro.llm.gateway import Gateway
from maestro.llm.model import Answer

LOG = logging.getLogger(__name__)
MOST_BODY_BYTES = 64 * 1024 * 1024
"""Bytes of all bodies that are being read or worked on."""
_LARGE_BODY = 256 * 1024
"""Reading the JSON of larger ones is left to a thread, so that nobody else waits for it."""
Log = Callable[..., None]
Handler = Callable[[Request], Awaitable[Response]]


class Endpoint:
    """The routes under ``/v1``.

    Args:
        gateway: opened when the first request with a good token comes.
        log: takes a line about each request when it is over; nothing of what was asked or answered.
        metrics: counts what is asked.
        catalogue: under which a token's calls are made, looked up when the gateway is open; None: the gateway's own.
    """

    def __init__(
        self,
        tokens: TokenFile,
        gateway: Callable[[], Awaitable[Gateway]],
        log: Log | None = None,
        metrics: LlmMetrics | None = None,
        catalogue: Callable[[Token], Awaitable[Catalogue]] | None = None,
    ) -> None:
        self._tokens = tokens
        self._gateway = gateway
        self._log = log or (lambda **_values: None)
        self._metrics = metrics or LlmMetrics()
        self._catalogue = catalogue
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
            error: Exception | None = None
            try:
                token = self._token(request)
                response = await handler(request, token)
                code = "ok"
            except (LlmError, MaestroError) as caught:
                failure = caught if isinstance(caught, LlmError) else failure_of(caught)
                response, code, error = refused(failure), failure.outcome, caught
            except Exception as caught:
                LOG.exception("a request of the OpenAI-compatible endpoint failed")
                response, code, error = refused(DEFECT), DEFECT.outcome, caught
            line: dict[str, str | float] = {
                "llm": name,
                "status": response.status_code,
                "token": token.id if token else "",
                "decision": response.headers.get("x-maestro-decision", ""),
            }

            def ended(ending: Ending) -> None:
                self._ended(line, time.perf_counter() - began, ending)

            if isinstance(response, EventStream):
                response.when_ended(ended)
            else:
                ended(Ending(code, response.answer if isinstance(response, Whole) else None, error))
            return response

        return answered

    def _ended(self, line: Mapping[str, str | float], seconds: float, ending: Ending) -> None:
        cost = {} if ending.cost_nano is None else {"usd": llm_wire.dollars_text(ending.cost_nano)}
        self._log(**line, outcome=ending.outcome, **cost, ms=round(seconds * 1000, 1))
        if line["llm"] == "completions":
            self._metrics.ended(ending, seconds)

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

    async def _opened(self, token: Token) -> tuple[Gateway, Catalogue]:
        gateway = await self._gateway()
        return gateway, gateway.catalogue if self._catalogue is None else await self._catalogue(token)

    async def _models(self, _request: Request, token: Token) -> Response:
        _, catalogue = await self._opened(token)
        return JSONResponse(llm_wire.models(catalogue, time.time()))

    async def _model(self, request: Request, token: Token) -> Response:
        _, catalogue = await self._opened(token)
        name = request.path_params["name"]
        found = llm_wire.model(catalogue, name, time.time())
        if found is None:
            near = catalogue.nearest(name)
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
            gateway, catalogue = await self._opened(token)
            whose = token.attribution()
            if not asked.stream:
                asking = gateway.ask(asked.request, whose, catalogue=catalogue)
                return Whole(await _while_connected(request, asking))
            streaming = gateway.stream(asked.request, whose, catalogue=catalogue)
            stream = await _while_connected(request, streaming)
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


class Whole(JSONResponse):
    """An answer in one piece."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(llm_wire.whole(answer, time.time()), headers=_headers(answer))
        self.answer = answer


def refused(failure: LlmError) -> Response:
    """The answer that is an error."""
    return JSONResponse(failure.body(), status_code=failure.status, headers=dict(failure.headers))


def _headers(answer: Answer) -> Mapping[str, str]:
    return {"x-maestro-decision": answer.decision, "x-maestro-cost": llm_wire.cost_text(answer)}


async def _while_connected(request: Request, asking: Awaitable[Any]) -> Any:
    """What ``asking`` gives; ended when the client goes away, so that no more is spent than was used."""
    task = asyncio.ensure_future(asking)
    leaving = asyncio.create_task(left(request.receive))
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


def _words(header: str) -> set[str]:
    return {word.strip().lower() for word in header.split(",")}
