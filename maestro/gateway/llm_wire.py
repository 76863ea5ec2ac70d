"""Answers in the format of OpenAI's chat completions, whole and in pieces."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from maestro.ledger.model import dollars
from maestro.llm.catalogue import Catalogue
from maestro.llm.model import Answer, Chunk, Usage

DONE = b"data: [DONE]\n\n"
_OF_A_MESSAGE = ("tool_calls", "function_call", "refusal", "reasoning_content", "reasoning")


def whole(answer: Answer, at: float) -> dict[str, Any]:
    """``chat.completion``; ``maestro`` in it says which decision it was and what it cost, in dollars as text."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    for name in _OF_A_MESSAGE:
        if answer.raw.get(name):
            message[name] = answer.raw[name]
    if message.get("tool_calls") and not answer.text:
        message["content"] = None
    message.setdefault("refusal", None)
    return {
        "id": _id(answer.decision),
        "object": "chat.completion",
        "created": int(at),
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}],
        "usage": usage_of(answer.usage),
        "maestro": about(answer),
    }


def about(answer: Answer) -> dict[str, Any]:
    """What OpenAI's format has no place for."""
    return {
        "decision": answer.decision,
        "provider": answer.provider,
        "cost_usd": cost_text(answer),
        "cached": answer.cached,
        "offline": answer.offline,
    }


def cost_text(answer: Answer) -> str:
    """Dollars, exactly, without an exponent."""
    return dollars_text(answer.cost_nano)


def dollars_text(nano: int) -> str:
    """Nanodollars as dollars, exactly, without an exponent."""
    return f"{dollars(nano):.9f}"


def usage_of(usage: Usage) -> dict[str, Any]:
    """Tokens as OpenAI counts them."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


class Pieces:
    """Makes the events of one stream.

    Args:
        usage: the last one is to say it.
    """

    def __init__(self, decision: str, model: str, *, usage: bool) -> None:
        self._frame = {"id": _id(decision), "object": "chat.completion.chunk", "created": int(time.time())}
        self._model = model
        self._usage = usage
        self._begun = False
        self._finished = False

    def piece(self, chunk: Chunk) -> bytes | None:
        """One piece; None where there is nothing in it for the client."""
        delta = dict(chunk.delta)
        if not delta and chunk.finish is None:
            return None
        if not self._begun:
            delta = {"role": "assistant", **delta}
            self._begun = True
        self._finished = self._finished or chunk.finish is not None
        return self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": chunk.finish}], None)

    def end(self, answer: Answer) -> bytes:
        """What comes after the last piece: the reason of its end where none was said, usage, and the end's mark."""
        events = b""
        if not self._finished:
            events += self.piece(Chunk({}, answer.finish)) or b""
        if self._usage:
            events += self._event([], usage_of(answer.usage), about(answer))
        # Headers are long gone; a comment is passed over by every client, and read by people.
        return events + f": x-maestro-cost {cost_text(answer)}\n\n".encode() + DONE

    def _event(
        self, choices: list[dict[str, Any]], usage: Mapping[str, Any] | None, more: Mapping[str, Any] | None = None
    ) -> bytes:
        content: dict[str, Any] = {**self._frame, "model": self._model, "choices": choices}
        if self._usage:
            content["usage"] = usage
        if more is not None:
            content["maestro"] = more
        return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def models(catalogue: Catalogue, at: float) -> dict[str, Any]:
    """What ``GET /v1/models`` says: models, then routes and capabilities, which can be asked for as well."""
    return {"object": "list", "data": [one for name in known(catalogue) if (one := model(catalogue, name, at))]}


def model(catalogue: Catalogue, name: str, at: float) -> dict[str, Any] | None:
    """One of them; None when there is none."""
    frame = {"id": name, "object": "model", "created": int(at)}
    if name in catalogue.models:
        found = catalogue.models[name]
        return {**frame, "owned_by": found.provider, "capabilities": sorted(found.capabilities)}
    if name in catalogue.routes:
        route = catalogue.routes[name]
        return {**frame, "owned_by": "route", "objective": route.objective, "candidates": list(route.candidates)}
    if name in catalogue.capabilities:
        return {**frame, "owned_by": "capability"}
    return None


def known(catalogue: Catalogue) -> list[str]:
    """Everything that can be named as a model, models first."""
    return list(dict.fromkeys([*catalogue.models, *catalogue.routes, *catalogue.capabilities]))


def _id(decision: str) -> str:
    return f"chatcmpl-{decision}"
