"""A body of OpenAI's chat completions as a request for the gateway; what cannot be kept is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from maestro.gateway.llm_failure import bad
from maestro.llm.model import Message, ModelRequest, Role
from maestro.llm.options import ALLOWED

BODY_LIMIT = 8 * 1024 * 1024
DEEPEST = 64
MOST_MESSAGES = 4096
OUTPUT_TOKENS = 4096
"""Bound of an answer where the caller sets none; a budget must hold what it costs at most."""
MOST_OUTPUT_TOKENS = 1_000_000
SECONDS = 600.0
# fmt: off
_TAKEN = frozenset((
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "n", "store",
    "service_tier",
))
# fmt: on
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_KEPT_OF_A_MESSAGE = frozenset(("name", "tool_calls", "tool_call_id"))
_SAID_BEFORE = frozenset(("refusal", "annotations", "audio", "function_call", "reasoning_content", "reasoning"))
"""What answers have and requests repeat; it means nothing to the next one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and how its answer is wanted.

    Args:
        usage: with the last piece of a stream.
    """

    request: ModelRequest
    stream: bool
    usage: bool


def parse(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body.

    Raises:
        LlmError: it is none, or is nested too deeply.
    """
    try:
        content = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise bad(f"the body is nested more than {DEEPEST} deep") from None
    except ValueError:
        raise bad("the body is not JSON") from None
    if not isinstance(content, dict):
        raise bad("the body is no JSON object")
    level: list[Any] = [content]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return content
    raise bad(f"the body is nested more than {DEEPEST} deep")


def read(content: Mapping[str, Any], *, max_usd: str | None = None, cache: bool = True) -> Asked:
    """The request a body asks for.

    Args:
        max_usd: of header ``x-maestro-max-usd``: most this request may cost.
        cache: whether an answer given before will do.

    Raises:
        LlmError: a parameter is missing, wrong, or cannot be honoured; names it.
    """
    for name in content:
        if name not in _TAKEN and name not in ALLOWED:
            close = get_close_matches(name, sorted(_TAKEN | ALLOWED), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise bad(
                f"the parameter '{name[:80]}' is not supported here{hint}", name[:80], code="unsupported_parameter"
            )
    for name, harmless in (("n", (1,)), ("store", (False,)), ("service_tier", ("auto", "default"))):
        if content.get(name) is not None and content[name] not in harmless:
            wanted = f"only {json.dumps(harmless[0])} is supported, as more would change what the request may cost"
            raise bad(f"'{name}' is {json.dumps(content[name])[:80]}: {wanted}", name, code="unsupported_value")
    model = content.get("model")
    if not isinstance(model, str):
        raise bad("'model' is missing: a model, a route or a capability of the catalogue", "model")
    stream = _flag(content, "stream")
    options = {name: value for name, value in content.items() if name in ALLOWED and value is not None}
    request = ModelRequest(
        messages=_messages(content.get("messages")),
        # OpenAI's clients cannot leave it out; a word for "whatever is best" is needed.
        target="" if model in ("", "default", "auto") else model,
        max_output_tokens=_output_tokens(content),
        temperature=_temperature(content),
        max_nano=_nano(max_usd),
        timeout=SECONDS,
        cache=cache,
        options=options,
    )
    return Asked(request, stream, stream and _wants_usage(content.get("stream_options")))


def _messages(given: Any) -> tuple[Message, ...]:
    if not isinstance(given, list) or not given:
        raise bad("'messages' is no list of messages", "messages")
    if len(given) > MOST_MESSAGES:
        raise bad(f"there are {len(given)} messages; {MOST_MESSAGES} are the most", "messages")
    return tuple(_message(one, f"messages[{number}]") for number, one in enumerate(given))


def _message(given: Any, place: str) -> Message:
    if not isinstance(given, dict):
        raise bad(f"'{place}' is no object", place)
    role = given.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise bad(f"'{place}.role' is none of {', '.join(_ROLES)}", f"{place}.role")
    extra: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("role", "content") or name in _SAID_BEFORE or value is None:
            continue
        if name not in _KEPT_OF_A_MESSAGE:
            raise bad(f"'{place}.{name[:80]}' is not supported", f"{place}.{name[:80]}", code="unsupported_parameter")
        extra[name] = value
    for name, kind in (("name", str), ("tool_call_id", str), ("tool_calls", list)):
        if name in extra and not isinstance(extra[name], kind):
            raise bad(f"'{place}.{name}' is wrong", f"{place}.{name}")
    if not all(isinstance(one, dict) for one in extra.get("tool_calls", ())):
        raise bad(f"'{place}.tool_calls' is wrong", f"{place}.tool_calls")
    if role == "tool" and not extra.get("tool_call_id"):
        raise bad(f"'{place}.tool_call_id' is missing", f"{place}.tool_call_id")
    if given.get("content") is None and not (role == "assistant" and extra.get("tool_calls")):
        raise bad(f"'{place}.content' is missing", f"{place}.content")
    return Message(_ROLES[role], _content(given.get("content"), f"{place}.content"), extra)


def _content(given: Any, place: str) -> str:
    if given is None:
        return ""
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise bad(f"'{place}' is neither text nor a list of parts", place)
    texts = []
    for number, part in enumerate(given):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "refusal") and isinstance(part.get(kind), str):
            texts.append(part[kind])
            continue
        shown = f"a part of type '{str(kind)[:40]}'" if kind else "a part without a type"
        raise bad(f"{shown} is not supported: text alone is", f"{place}[{number}].type", code="unsupported_value")
    return "\n".join(texts)


def _flag(content: Mapping[str, Any], name: str) -> bool:
    value = content.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad(f"'{name}' is neither true nor false", name)
    return bool(value)


def _wants_usage(given: Any) -> bool:
    if given is None:
        return False
    if not isinstance(given, dict):
        raise bad("'stream_options' is no object", "stream_options")
    for name in given:
        if name not in ("include_usage", "include_obfuscation"):
            raise bad(f"'stream_options.{name[:80]}' is not supported", f"stream_options.{name[:80]}")
    return _flag(given, "include_usage")


def _output_tokens(content: Mapping[str, Any]) -> int:
    name = "max_completion_tokens" if content.get("max_completion_tokens") is not None else "max_tokens"
    value = content.get(name)
    if value is None:
        return OUTPUT_TOKENS
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_OUTPUT_TOKENS:
        raise bad(f"'{name}' is no whole number from 1 to {MOST_OUTPUT_TOKENS}", name)
    return value


def _temperature(content: Mapping[str, Any]) -> float:
    value = content.get("temperature")
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2 or not math.isfinite(value):
        raise bad("'temperature' is no number from 0 to 2", "temperature")
    return float(value)


def _nano(max_usd: str | None) -> int | None:
    if max_usd is None:
        return None
    from decimal import Decimal, InvalidOperation

    from maestro.ledger.model import nanodollars

    try:
        value = Decimal(max_usd) if len(max_usd) <= 40 else Decimal("nan")
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or not 0 <= value <= 1_000_000:
        raise bad("the header x-maestro-max-usd is no amount of dollars", "x-maestro-max-usd")
    return nanodollars(value, up=False)


def _no_constant(word: str) -> Any:
    raise ValueError(word)
