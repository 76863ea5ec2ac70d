"""A real HTTP server that speaks OpenAI's chat completions, and misbehaves when the model's name says so.

The name of the model chooses what happens, its last part after ``/`` the number of it; ``x-misbehave`` overrides it::

    echo              the last message's content is the answer, in pieces of a few characters when streamed
    count/7           seven words
    json              an object as text
    tools             a call of a tool
    slow/0.3          waits before it answers (a stream: between two pieces)
    drip              a byte every now and then, for ever
    endless           words without an end
    long-line         a stream whose first line does not end
    truncated         half of the JSON, the connection closed in good order
    cut               fewer bytes than announced
    hang              no answer at all
    close             closes the connection before answering
    half/3            a stream that is closed after three pieces
    error-in-stream/2 a stream with an error after two pieces
    html, compressed, empty, no-choices, not-an-object, deep, nan, surrogate, huge-usage, negative-usage, no-usage
    early-usage       a stream that counts at its beginning and never again; early-usage/3 ends after three pieces
    counted-500       a refusal that says what was used
    bom               a stream that begins with a byte order mark
    headers           256 KB of headers
    redirect          to a host that must not be called
    status/503        this status, OpenAI's error body
    leak              401, whose text repeats the key
    retry-after/0.05  429 with Retry-After, once per server for each name; then as echo
    flaky/2           500 twice, then as echo

Calls it got are in ``ModelServer.calls``; ``release`` lets what hangs end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.loopback import serving_asgi


@dataclass
class ModelServer:
    """What tests look at."""

    port: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    running: int = 0
    most_at_once: int = 0
    disconnected: threading.Event = field(default_factory=threading.Event)
    """Set when a caller left in the middle of a stream."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """A running server, gone when the block ends."""
    state = ModelServer()
    with serving_asgi(application(state), timeout_graceful_shutdown=1) as state.port:
        yield state


def application(state: ModelServer) -> Any:
    """The server as an ASGI application."""

    async def chat(request: Request) -> Response:
        body = await request.json()
        state.calls.append(body)
        state.keys.append(request.headers.get("authorization", ""))
        state.running += 1
        state.most_at_once = max(state.most_at_once, state.running)
        try:
            return await _answer(state, request, body)
        finally:
            state.running -= 1

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "echo", "object": "model"}]})

    routes = [Route("/v1/chat/completions", chat, methods=["POST"]), Route("/v1/models", models)]
    inner = Starlette(routes=routes)

    async def with_connection(scope: Any, receive: Any, send: Any) -> None:
        # uvicorn has no public way to close a connection without an answer.
        if scope["type"] == "http":
            scope["transport"] = send.__self__.transport
        await inner(scope, receive, send)

    return with_connection


async def _answer(state: ModelServer, request: Request, body: dict[str, Any]) -> Response:
    wanted = request.headers.get("x-misbehave", body["model"])
    name, _, number = wanted.partition("/")
    state.seen[wanted] += 1
    streamed = bool(body.get("stream"))
    if name == "status":
        return _refusal(int(number), f"this server was asked for {number}")
    if name == "counted-500":
        error = {"message": "the model fell over"}
        return JSONResponse({"error": error, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, status_code=500)
    if name == "leak":
        return _refusal(401, f"Incorrect API key provided: {request.headers.get('authorization')}. See your account.")
    if name == "retry-after" and state.seen[wanted] == 1:
        return _refusal(429, "too many requests", {"retry-after": number})
    if name == "flaky" and state.seen[wanted] <= int(number):
        return _refusal(500, "this server has a bad day")
    if name == "redirect":
        return Response(status_code=307, headers={"location": "http://elsewhere.invalid/v1/chat/completions"})
    if name == "headers":
        return JSONResponse(completion("ok", body), headers={"x-long": "x" * 256 * 1024})
    if name == "html":
        return Response("<html>It works!</html>", media_type="text/html")
    if name == "hang":
        await _until_gone(state, request)
        return Response()
    if name == "close":
        return _Closing()
    if name == "slow" and not streamed:
        await asyncio.sleep(float(number))
    if streamed:
        return StreamingResponse(_pieces(state, request, body, name, number), media_type="text/event-stream")
    odd = _odd_bodies(body).get(name)
    if odd is not None:
        return odd
    if name == "drip":
        return StreamingResponse(_forever(state, request, b" ", 0.01), media_type="application/json")
    if name == "endless":
        return StreamingResponse(_forever(state, request, b'"' + b"word " * 4000, 0), media_type="application/json")
    return JSONResponse(completion(_text(name, number, body), body, tools=name == "tools"))


def _odd_bodies(body: dict[str, Any]) -> dict[str, Response]:
    whole = completion("an answer that is cut off", body)
    data = json.dumps(whole).encode()
    kind = "application/json"
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return {
        "truncated": Response(data[: len(data) // 2], media_type=kind),
        "cut": _Closing(data[:20], announced=len(data)),
        "compressed": Response(data, media_type=kind, headers={"content-encoding": "gzip"}),
        "empty": Response(b"", media_type=kind),
        "no-choices": JSONResponse({"object": "chat.completion", "choices": [], "usage": usage}),
        "not-an-object": JSONResponse(["no", "object"]),
        "deep": Response(b"[" * 200_000, media_type=kind),
        "nan": Response(b'{"choices": NaN}', media_type=kind),
        "surrogate": Response(data.replace(b"an answer", b"\\ud800 answer"), media_type=kind),
        "huge-usage": JSONResponse({**whole, "usage": {**usage, "completion_tokens": 10**30}}),
        "negative-usage": JSONResponse({**whole, "usage": {**usage, "completion_tokens": -5}}),
        "no-usage": JSONResponse({**whole, "usage": None}),
        "made-up-usage": JSONResponse({**whole, "usage": {"prompt_tokens": 10**9, "completion_tokens": 10**9}}),
    }


def _text(name: str, number: str, body: dict[str, Any]) -> str:
    if name == "count":
        return " ".join(["word"] * int(number))
    if name == "json":
        return '{"found": []}'
    return str(body["messages"][-1]["content"] or "")


def completion(text: str, body: dict[str, Any], *, tools: bool = False) -> dict[str, Any]:
    """A response that was not streamed; four characters are a token."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tools:
        function = {"name": "look_up", "arguments": json.dumps({"text": text})}
        message = {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": function}
        ]}  # fmt: skip
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if tools else "stop"}],
        "usage": usage_of(text, body),
    }


def usage_of(text: str, body: dict[str, Any]) -> dict[str, int]:
    """As the server counts."""
    given = sum(len(str(message.get("content") or "")) for message in body["messages"]) // 4 + 1
    made = len(text) // 4 + 1
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


async def _pieces(
    state: ModelServer, request: Request, body: dict[str, Any], name: str, number: str
) -> AsyncIterator[bytes]:
    def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        return f"data: {json.dumps({**base, 'choices': [choice], **more})}\n\n".encode()

    if name == "long-line":
        async for data in _forever(state, request, b"data: " + b"x" * 20_000, 0):
            yield data
        return
    if name in ("drip", "endless"):
        async for data in _forever(state, request, event({"content": "word "}), 0.005 if name == "drip" else 0):
            yield data
        return
    if name == "truncated":
        yield event({"content": "begun"})
        yield b'data: {"choices": [{"delta": {"con'
        yield b"\n\n"
        return
    first = event({"role": "assistant", "content": ""}, usage={"prompt_tokens": 3, "completion_tokens": 1})
    if name == "bom":
        yield b"\xef\xbb\xbf" + event({"content": "first "})
    else:
        yield first if name == "early-usage" else event({"role": "assistant", "content": ""})
    text = _text(name, number, body)
    size = 5
    for place, start in enumerate(range(0, len(text), size)):
        if name == "early-usage" and number and place == int(number):
            return
        if name == "half" and place == int(number):
            raise _Break
        if name == "error-in-stream" and place == int(number):
            yield b'data: {"error": {"message": "the model fell over", "code": 500}}\n\n'
            return
        if name == "slow" and place:
            await asyncio.sleep(float(number))
        if name == "stuck" and place == int(number):
            async for _data in _forever(state, request, b"", 0.005):
                pass
            return
        yield event({"content": text[start : start + size]})
    yield event({}, "stop")
    if name not in ("no-usage", "early-usage"):
        yield f"data: {json.dumps({'choices': [], 'usage': usage_of(text, body)})}\n\n".encode()
    yield b"data: [DONE]\n\n"


class _Break(Exception):  # noqa: N818 - makes uvicorn close the connection in the middle of a body
    pass


async def _forever(state: ModelServer, request: Request, data: bytes, every: float) -> AsyncIterator[bytes]:
    try:
        while not await request.is_disconnected():
            if data:
                yield data
            await asyncio.sleep(every)
    finally:
        state.disconnected.set()


async def _until_gone(state: ModelServer, request: Request) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while not await request.is_disconnected():
            await asyncio.sleep(0.005)
    state.disconnected.set()


class _Closing(Response):
    """Sends a part of what it announced, or nothing, and closes."""

    def __init__(self, data: bytes = b"", announced: int = 0) -> None:
        super().__init__()
        self._data = data
        self._announced = announced

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._announced:
            headers = [(b"content-type", b"application/json"), (b"content-length", str(self._announced).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": self._data, "more_body": True})
            raise _Break
        scope["transport"].abort()


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    error = {"message": message, "type": "error", "code": str(status)}
    return JSONResponse({"error": error}, status_code=status, headers=headers)
