"""Requests in OpenAI's format as Ollama's ``/api/chat`` wants them, and its answers back.

The format: https://github.com/ollama/ollama/blob/main/docs/api.md.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from maestro.llm.model import Chunk, Message, ProviderCall, ProviderError, Usage
from maestro.llm.ollama import trouble
from maestro.llm.ollama.need import DEFAULT_CONTEXT
from maestro.llm.providers.openai_wire import clean, count

KEEP_ALIVE = "5m"
_OPTIONS = ("seed", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty")
_WITHOUT_EFFECT = ("user", "metadata", "store", "parallel_tool_calls", "service_tier", "stream_options")
"""Parameters that do not change what is answered; the others that Ollama does not have are refused."""
_OWN = ("stop", "response_format", "tools", "think", "reasoning_effort", "keep_alive", "num_ctx", "n", "tool_choice")


def context_for(call: ProviderCall) -> int:
    """Tokens to load the model for: Ollama silently drops the beginning of what does not go in.

    A power of two, because every other number makes Ollama load the model anew. Two and a half bytes a token is less
    than text has in the languages models are made for.
    """
    asked = call.options.get("num_ctx")
    if isinstance(asked, int) and not isinstance(asked, bool) and asked > 0:
        return asked
    size = sum(len(one.content.encode()) + len(json.dumps(one.extra, default=str)) + 40 for one in call.messages)
    size += len(json.dumps(call.options.get("tools") or (), default=str))
    wanted = int(size / 2.5) + call.max_output_tokens
    context = DEFAULT_CONTEXT
    while context < wanted:
        context *= 2
    return context


def estimated_input(messages: Sequence[Message]) -> int:
    """Tokens of the input where Ollama does not say: four bytes each."""
    return sum(len(one.content.encode()) // 4 + 4 for one in messages)


def payload(call: ProviderCall, context: int) -> dict[str, Any]:
    """The body of a request, streamed.

    Raises:
        ProviderError: it asks for what Ollama does not have.
    """
    given = call.options
    unknown = sorted(set(given) - {*_OPTIONS, *_WITHOUT_EFFECT, *_OWN})
    if unknown:
        raise _cannot(f"Ollama does not know {', '.join(map(repr, unknown))}")
    if given.get("n") not in (None, 1):
        raise _cannot("Ollama gives one answer; 'n' is more")
    if given.get("tool_choice") not in (None, "auto"):
        raise _cannot("Ollama leaves it to the model whether it calls a tool; 'tool_choice' is not 'auto'")
    options: dict[str, Any] = {
        "num_ctx": context,
        "num_predict": call.max_output_tokens,
        "temperature": call.temperature,
        **{name: given[name] for name in _OPTIONS if given.get(name) is not None},
    }
    stop = given.get("stop")
    if stop:
        options["stop"] = [stop] if isinstance(stop, str) else list(stop)
    body: dict[str, Any] = {
        "model": call.wire_model,
        "messages": [_message(one, call.messages) for one in call.messages],
        "stream": True,
        "options": options,
        "keep_alive": given.get("keep_alive", KEEP_ALIVE),
    }
    if given.get("tools"):
        body["tools"] = given["tools"]
    think = given.get("think", given.get("reasoning_effort"))
    if think is not None:
        body["think"] = False if think == "none" else think
    form = _form(given.get("response_format"))
    if form is not None:
        body["format"] = form
    return body


def _message(message: Message, all_of_them: Sequence[Message]) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    calls = message.extra.get("tool_calls")
    if calls:
        body["tool_calls"] = [_called(one) for one in calls]
    if message.role == "tool":
        body["tool_name"] = str(message.extra.get("name") or _name_of_call(message, all_of_them))
    if message.extra.get("reasoning_content"):
        body["thinking"] = str(message.extra["reasoning_content"])
    return body


def _called(call: Any) -> dict[str, Any]:
    """OpenAI writes the arguments of a call as a text of JSON, Ollama as an object."""
    try:
        function = call["function"]
        arguments = function.get("arguments") or {}
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
        if not isinstance(arguments, dict):
            raise ValueError
        return {"function": {"name": str(function["name"]), "arguments": arguments}}
    except (KeyError, TypeError, AttributeError, ValueError):
        raise _cannot(
            "a message's 'tool_calls' are not of OpenAI's form, or their arguments are no JSON object"
        ) from None


def _name_of_call(message: Message, all_of_them: Sequence[Message]) -> str:
    wanted = message.extra.get("tool_call_id")
    for other in all_of_them:
        for call in other.extra.get("tool_calls") or ():
            if isinstance(call, Mapping) and call.get("id") == wanted:
                return str(call.get("function", {}).get("name", ""))
    return ""


def _form(asked: Any) -> Any:
    kind = asked.get("type") if isinstance(asked, Mapping) else None
    if asked is None or kind == "text":
        return None
    if kind == "json_object":
        return "json"
    if kind == "json_schema":
        schema = asked.get("json_schema")
        if isinstance(schema, Mapping) and isinstance(schema.get("schema"), Mapping):
            return schema["schema"]
    raise _cannot("'response_format' is none of OpenAI's forms")


def chunk(line: Mapping[str, Any], called: int) -> Chunk:
    """A line of the answer; thinking goes into ``reasoning_content``, apart from the text.

    Args:
        called: tools that were called before this line.

    Raises:
        ProviderError: it is no line of an answer.
    """
    message = line.get("message") or {}
    if not isinstance(message, dict):
        raise trouble.broken("a line of Ollama's answer holds no message")
    delta: dict[str, Any] = {}
    for theirs, ours in (("content", "content"), ("thinking", "reasoning_content")):
        text = message.get(theirs)
        if text is not None and not isinstance(text, str):
            raise trouble.broken(f"the '{theirs}' of Ollama's answer is no text")
        if text:
            delta[ours] = clean(text)
    calls = message.get("tool_calls")
    if calls:
        delta["tool_calls"] = [_call(one, called + place) for place, one in enumerate(calls)]
    return Chunk(delta)


def _call(call: Any, index: int) -> dict[str, Any]:
    try:
        function = call["function"]
        name, arguments = str(function["name"]), json.dumps(function.get("arguments") or {})
    except (KeyError, TypeError, AttributeError):
        raise trouble.broken("a tool call in Ollama's answer has no name") from None
    identity = str(call.get("id") or f"call_{secrets.token_hex(6)}")
    return {"index": index, "id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def finish(line: Mapping[str, Any], called: int) -> str:
    """Why the answer ended, in OpenAI's words."""
    if called:
        return "tool_calls"
    return "length" if line.get("done_reason") == "length" else "stop"


def usage(line: Mapping[str, Any], messages: Sequence[Message], received: int) -> Usage:
    """The counts of the last line; what is missing in it (a prompt that was cached whole) is estimated.

    Args:
        received: bytes of text that came.
    """
    # Zeros stand where nothing was counted.
    given, made = count(line.get("prompt_eval_count")) or None, count(line.get("eval_count")) or None
    return Usage(
        estimated_input(messages) if given is None else given,
        received // 4 if made is None else made,
        estimated=given is None or made is None,
    )


def _cannot(what: str) -> ProviderError:
    return ProviderError(what, kind="bad_request", sent=False, next_step="leave it out, or name another model")
