"""OpenAI's chat completions format, read and written; what a provider sends is believed in nothing.

The format: https://platform.openai.com/docs/api-reference/chat, as vLLM, llama.cpp and others speak it too.
"""

from __future__ import annotations

import email.utils
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from maestro.llm.model import Chunk, Completion, Message, ProviderCall, ProviderError, Usage

OPENAI = "https://api.openai.com/v1"
MOST_TOKENS = 1_000_000_000
"""A claim above this cannot be true; it is kept as a claim all the same, also where it is no whole number."""
MOST_CLAIMED = 10**18
"""A larger claim is kept as this one."""
_MADE = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call")
_NO_TEMPERATURE = ("o1", "o3", "o4", "gpt-5")
"""OpenAI's models that refuse every temperature but their own."""


def payload(call: ProviderCall, *, stream: bool) -> dict[str, Any]:
    """The body of a request."""
    at_openai = call.api_base is None or call.api_base.startswith("https://api.openai.com")
    body: dict[str, Any] = {
        **call.options,
        "model": call.wire_model,
        "messages": [wire_message(one) for one in call.messages],
        # OpenAI's newer models refuse max_tokens; many compatible servers know nothing else.
        "max_completion_tokens" if at_openai else "max_tokens": call.max_output_tokens,
    }
    if not (at_openai and call.wire_model.startswith(_NO_TEMPERATURE)):
        body["temperature"] = call.temperature
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def wire_message(message: Message) -> dict[str, Any]:
    """A message as it is sent; one that calls tools and says nothing has a null content, as OpenAI wants it."""
    content = None if not message.content and message.extra.get("tool_calls") else message.content
    return {**message.extra, "role": message.role, "content": content}


def parsed(data: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ProviderError: ``garbage``: it is none.
    """
    try:
        found = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "not JSON"
        if isinstance(error, json.JSONDecodeError):
            # "Unterminated string starting at" ends with the word that comes next.
            reason = f"{error.msg.removesuffix(' at')} at character {error.pos}"
        raise garbage(f"{what} is not whole JSON ({reason}; {len(data):,} {_size(data)} came)") from None
    if not isinstance(found, dict):
        raise garbage(f"{what} is JSON but no object")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _size(data: bytes | str) -> str:
    return "bytes" if isinstance(data, bytes) else "characters"


def garbage(what: str, usage: Usage | None = None) -> ProviderError:
    """The error for what cannot be understood."""
    return ProviderError(
        what,
        kind="garbage",
        usage=usage,
        next_step="see whether the model's server is healthy, or ask another model",
    )


def completion(body: Mapping[str, Any]) -> Completion:
    """The answer in a response that was not streamed.

    Raises:
        ProviderError: there is none in it.
    """
    raise_error_in(body)
    used = usage(body.get("usage"))
    choice = _first_choice(body)
    message = choice.get("message") if choice else None
    if choice is None or not isinstance(message, dict):
        raise garbage("the answer holds no message (`choices[0].message`)", used)
    text = message.get("content")
    if text is not None and not isinstance(text, str):
        raise garbage("the answer's `content` is no text", used)
    if used is not None and not used.output_tokens and says_something(message):
        used = None  # Whoever counted no token of it did not count.
    finish = choice.get("finish_reason")
    return Completion(
        text=clean(text or ""),
        usage=used or Usage(estimated=True),
        finish=finish if isinstance(finish, str) else "stop",
        raw=_cleaned(message),
    )


def chunk(body: Mapping[str, Any]) -> Chunk | None:
    """A piece of a streamed answer; None for one that says nothing.

    Raises:
        ProviderError: it is an error, or no piece.
    """
    raise_error_in(body)
    used = usage(body.get("usage"))
    choice = _first_choice(body)
    if choice is None:
        return None if used is None else Chunk({}, usage=used)
    delta = choice.get("delta") or {}
    if not isinstance(delta, dict) or not isinstance(delta.get("content"), str | None):
        raise garbage("a piece of the answer holds no `delta`")
    finish = choice.get("finish_reason")
    return Chunk(_cleaned(delta), finish if isinstance(finish, str) else None, used)


def _first_choice(body: Mapping[str, Any]) -> dict[str, Any] | None:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def usage(value: object) -> Usage | None:
    """The provider's count; None when it gives none that can be one."""
    if not isinstance(value, dict):
        return None
    given, made = count(value.get("prompt_tokens")), count(value.get("completion_tokens"))
    # A request without a token does not exist: zeros stand where a server does not count.
    if not given or made is None:
        return None
    details = value.get("prompt_tokens_details")
    cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Usage(given, made, min(cached or 0, given))


def says_something(message: Mapping[str, Any]) -> bool:
    """Whether a message, or a piece of one, holds anything a model has made."""
    return any(message.get(name) for name in _MADE)


def count(value: object) -> int | None:
    """A number of tokens as it was claimed; None: it is none. What cannot be true is for the gateway to disbelieve."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value > MOST_TOKENS:
        # Also 1e15, which is no whole number in JSON: whoever claims so much has not left the count out.
        return int(min(value, MOST_CLAIMED))
    return value if isinstance(value, int) and value >= 0 else None


def clean(text: str) -> str:
    """``text`` without lone surrogates, which JSON may hold and nothing can write."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value


def raise_error_in(body: Mapping[str, Any]) -> None:
    """Raises ProviderError when the body is an error, as some servers send it with status 200 or in a stream."""
    error = body.get("error")
    if error:
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code <= 599 else 500
        # Within an answer that had begun: tokens may have been used.
        raise refusal(status, body, {}, sent=True)


def refusal(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str], *, sent: bool | None = None
) -> ProviderError:
    """The error for an HTTP status that is not 200.

    Args:
        body: the JSON of the response, empty when it was none.
        sent: whether the model may have worked; None: as the status says.
    """
    kind, retry, next_step = _kind(status, body)
    wait = retry_after(headers)
    if sent is None:
        # A proxy that lost the model (502, 504 and the 520s of content networks) does not know what the model did.
        sent = status in (502, 504) or 520 <= status < 529
    said = detail(body)
    return ProviderError(
        f"it answered {status}" + (f": {said}" if said else ""),
        kind=kind,
        retry=retry,
        retry_after=wait,
        sent=sent,
        usage=usage(body.get("usage")),
        next_step=next_step,
    )


def _kind(status: int, body: Mapping[str, Any]) -> tuple[str, bool, str | None]:
    said = json.dumps(body.get("error", ""))[:2000].lower()
    if status in (401, 403):
        return "auth", False, "check the key (`maestro llm models` shows where it is read from), and what it may do"
    if status == 429:
        if "insufficient_quota" in said or "billing" in said:
            return "auth", False, "the provider's account has no credit left; pay there, or use another model"
        return "rate_limit", True, "wait, or let fewer calls run at once (`concurrency` of the model)"
    if status == 408:
        return "timeout", True, None
    if status in (409, 425) or status >= 500:
        return "unavailable", status != 501, "see whether the model's server is healthy"
    if 300 <= status < 400:
        return "bad_request", False, "redirects are not followed; put the final address into `api_base`"
    if "context_length" in said or "context window" in said or "maximum context" in said or "too long" in said:
        return "context", False, "shorten the input, or use a model with a larger context"
    if "content_filter" in said or "content_policy" in said:
        return "refused", False, "the provider's content filter refused the input"
    if status == 404:
        return "bad_request", False, "check `api_base` in models.yaml, and `wire_model`, the model's name there"
    return "bad_request", False, None


def detail(body: Mapping[str, Any]) -> str:
    """The provider's own words, one line."""
    error = body.get("error", body.get("message", body.get("detail")))
    said = error.get("message") if isinstance(error, dict) else error
    if not isinstance(said, str):
        return ""
    line = " ".join(clean(said).split())
    return "".join(character for character in line if character.isprintable())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``Retry-After`` (RFC 9110: seconds or a date) or OpenAI's ``retry-after-ms``."""
    with_milliseconds = _number(headers.get("retry-after-ms"))
    if with_milliseconds is not None:
        return with_milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
