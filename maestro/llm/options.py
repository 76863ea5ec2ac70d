"""Which parameters of OpenAI's chat completions a caller may set beside those a request has itself.

An allow-list: others make more than one answer, cost by another price list, or lift the bound of the output, and so of
the cost (``n``, ``service_tier``, ``prediction``, ``max_tokens``, ``web_search_options`` …).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maestro.errors import InputError
from maestro.llm.model import Message
from maestro.llm.texts import not_utf8

ALLOWED = frozenset(
    {
        "chat_template_kwargs",
        "frequency_penalty",
        "functions",
        "function_call",
        "grammar",
        "guided_choice",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "logit_bias",
        "logprobs",
        "metadata",
        "min_p",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "safety_identifier",
        "seed",
        "stop",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)
AS_UTF8 = "send text, encoded as UTF-8"
OF_A_FUNCTION = frozenset({"name", "description", "parameters", "strict"})
"""What the description of a function may have."""
_PRICED = frozenset({"cache_control", "cachePoint"})
"""Marks for a provider's cache: what is written into it costs more than a token does."""
BESIDE = frozenset({"function_call", "name", "reasoning_content", "refusal", "tool_call_id", "tool_calls"})
"""What a message may have beside its role and its text; marks for a provider's cache, for one, have a price."""
_ELSEWHERE = {
    "max_tokens": "max_output_tokens of the request",
    "max_completion_tokens": "max_output_tokens of the request",
    "temperature": "temperature of the request",
    "messages": "messages of the request",
    "model": "target of the request",
    "stream": "a streamed request",
}


def checked_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options, when all of them may be set.

    Raises:
        InputError: one may not; names the nearest that may.
    """
    for name, value in options.items():
        if name in ALLOWED:
            continue
        if name in ("n", "best_of") and value == 1:
            return checked_options({other: options[other] for other in options if other != name})
        if name in _ELSEWHERE:
            raise InputError(f"the option '{name}' is set elsewhere", next_step=f"use {_ELSEWHERE[name]}")
        close = difflib.get_close_matches(name, sorted(ALLOWED), n=3)
        raise InputError(
            f"the option '{name}' cannot be set here: it is unknown, or would change what the request may cost",
            next_step=f"use {' or '.join(close)}" if close else "leave it out",
        )
    for name, value in options.items():
        if (byte := not_utf8(value)) is not None:
            raise InputError(f"the option '{name}' is not UTF-8 at byte {byte}", next_step=AS_UTF8)
    _check_tools(options)
    return options


def check_messages(messages: Iterable[Message]) -> None:
    """Raises InputError when a message has a part that cannot be sent, or there is none."""
    empty = True
    for number, message in enumerate(messages, 1):
        empty = False
        if not isinstance(message.content, str):
            raise InputError(f"message {number} holds something else than text", next_step="send text only")
        if (byte := not_utf8((message.content, message.extra))) is not None:
            raise InputError(f"message {number} is not UTF-8 at byte {byte}", next_step=AS_UTF8)
        for name in message.extra:
            if name not in BESIDE:
                raise InputError(
                    f"message {number} has the part '{name}', which cannot be sent",
                    next_step=f"leave it out; parts are {', '.join(sorted(BESIDE))}",
                )
        if message.extra and (mark := _priced_mark(message.extra)):
            raise InputError(
                f"message {number} has the mark '{mark}', which has a price of its own", next_step="leave it out"
            )
    if empty:
        raise InputError("a request needs a message", next_step="say what the model is to do")


def _check_tools(options: Mapping[str, Any]) -> None:
    """Raises InputError for a tool that is no function of the caller's.

    Those that a provider carries out itself (search, code, servers it calls, other models it asks) cost what no count
    of tokens bounds, and send what was asked to where no catalogue says.
    """
    tools = _listed("tools", options.get("tools"))
    for number, tool in enumerate(tools, 1):
        if not isinstance(tool, Mapping) or tool.get("type") != "function" or tool.keys() != {"type", "function"}:
            raise InputError(
                f"tool {number} is no plain function: what else it says could change what the request may cost",
                next_step='write it as {"type": "function", "function": {"name": …, "parameters": …}}',
            )
    for function in (*(one["function"] for one in tools), *_listed("functions", options.get("functions"))):
        if not isinstance(function, Mapping) or not function.keys() <= OF_A_FUNCTION:
            raise InputError(
                "the description of a function holds something that cannot be sent",
                next_step=f"use {', '.join(sorted(OF_A_FUNCTION))} only",
            )


def _listed(name: str, value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise InputError(f"the option '{name}' is no list", next_step="give a list of functions")
    return value


def _priced_mark(value: Any) -> str | None:
    """The first mark with a price anywhere in a JSON-like value."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            found = _PRICED & one.keys()
            if found:
                return min(found)
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return None
