"""A server that speaks Anthropic's messages as far as litellm needs it; the model's name says how it behaves.

Format: https://docs.anthropic.com/en/api/messages and …/messages-streaming.
"""

from __future__ import annotations

import asyncio
import json
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
class AnthropicServer:
    """What tests look at."""

    port: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def anthropic_server() -> Iterator[AnthropicServer]:
    """A running server, gone when the block ends."""
    state = AnthropicServer()

    async def messages(request: Request) -> Response:
        body = await request.json()
        state.calls.append(body)
        state.keys.append(request.headers.get("x-api-key", ""))
        return _answer(body, request.headers.get("x-api-key", ""))

    application = Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])
    with serving_asgi(application) as state.port:
        yield state


def _answer(body: dict[str, Any], key: str) -> Response:
    name, _, number = body["model"].partition("-")
    if name == "status":
        error = {"type": "error", "error": {"type": "api_error", "message": f"asked for {number} with {key}"}}
        return JSONResponse(error, status_code=int(number), headers={"retry-after": "0.25"})
    if name == "redirect":
        return Response(status_code=307, headers={"location": "http://elsewhere.invalid/v1/messages"})
    if name == "truncated":
        return Response('{"id": "msg_1", "type": "message", "content": [{"ty', media_type="application/json")
    if name == "endless":
        return StreamingResponse(_forever(), media_type="application/json")
    text = str(body["messages"][-1]["content"])
    if isinstance(body["messages"][-1]["content"], list):
        text = "".join(part.get("text", "") for part in body["messages"][-1]["content"])
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
    if body.get("stream"):
        return StreamingResponse(_pieces(message, text, cut=name == "half"), media_type="text/event-stream")
    whole = {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
    return JSONResponse({**message, **whole, "usage": {"input_tokens": 11, "output_tokens": 5}})


async def _forever() -> AsyncIterator[bytes]:
    while True:
        yield b'"' + b"word " * 20_000
        await asyncio.sleep(0)


async def _pieces(message: dict[str, Any], text: str, *, cut: bool) -> AsyncIterator[bytes]:
    def event(kind: str, **more: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    begun = {**message, "content": [], "stop_reason": None, "usage": {"input_tokens": 11, "output_tokens": 1}}
    yield event("message_start", message=begun)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for start in range(0, len(text), 6):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": text[start : start + 6]})
        if cut:
            raise ConnectionResetError
    yield event("content_block_stop", index=0)
    yield event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5})
    yield event("message_stop")
