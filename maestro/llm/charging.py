"""What a call is reserved at, and what it is charged when the provider does not say what was used.

Where something is unknown the larger number counts: the ledger may show more than the provider bills, never less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maestro.ledger.model import Unit
from maestro.llm.catalogue import Model
from maestro.llm.model import Usage
from maestro.llm.prices import cost, worst

THINKS = "reasoning"
"""Capability of models whose thoughts are billed and not shown."""
ON_ITS_WAY = 256
"""Tokens a model may have made that had not arrived when a stream was broken off."""
TOKENS_PER_SECOND = 500
"""No model is faster; what it may have made since the last piece was taken."""
BELIEVED_TIMES, BELIEVED_BEYOND = 2, 1024
"""A provider may count that many times the tokens that were reserved, and so many more, before it is not believed.

Some exceed the bound of the output a little, some leave thoughts out of it, and some add instructions of their own.
"""
_CALLS = ("tool_calls", "function_call")
_COUNTED_APART = frozenset({"role", "content", *_CALLS})


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most one call can use of one model; the price in it is the one at the time of the decision.

    Args:
        input_tokens: never fewer than the provider counts.
        output_tokens: the most it may make.
    """

    model: Model
    input_tokens: int
    output_tokens: int

    @property
    def usage(self) -> Usage:
        """All of it used."""
        return Usage(self.input_tokens, self.output_tokens, estimated=True)

    def amounts(self) -> Mapping[Unit, int]:
        """What is reserved."""
        price = self.model.price
        money = worst(price, self.input_tokens, self.output_tokens) if price else 0
        return {Unit.USD: money, Unit.TOKENS: self.input_tokens + self.output_tokens}

    def believed(self, usage: Usage) -> Usage:
        """``usage``, or all that was reserved where no call of this size can have used so much."""
        pairs = ((usage.input_tokens, self.input_tokens), (usage.output_tokens, self.output_tokens))
        if all(said <= BELIEVED_TIMES * most + BELIEVED_BEYOND for said, most in pairs):
            return usage
        return self.usage

    def charge(self, usage: Usage) -> Mapping[Unit, int]:
        """What was used, as the ledger counts it."""
        if usage == self.usage:
            # The worst case, which is not what its tokens cost where long requests have another price.
            return self.amounts()
        price = self.model.price
        money = cost(price, usage) if price else 0
        return {Unit.USD: money, Unit.TOKENS: usage.input_tokens + usage.output_tokens}

    def whole(self, text_tokens: int) -> Usage:
        """For an answer that came whole, without a count; ``text_tokens``: the most it can have."""
        return Usage(self.input_tokens, self._output(text_tokens), estimated=True)

    def broken_off(self, text_tokens: int, idle: float) -> Usage:
        """For a stream that was left; ``idle``: seconds since its last piece was taken."""
        unseen = ON_ITS_WAY + math.ceil(max(0.0, idle) * TOKENS_PER_SECOND)
        return Usage(self.input_tokens, self._output(text_tokens + unseen), estimated=True)

    def _output(self, tokens: int) -> int:
        return self.output_tokens if THINKS in self.model.capabilities else min(self.output_tokens, tokens)


def bounds(model: Model, input_at_most: int, wanted: int) -> Bounds:
    """Of a request for ``wanted`` tokens of output; more than the model can make are not asked for."""
    return Bounds(model, input_at_most, min(wanted, model.max_output) if model.max_output else wanted)


def texts_in(value: Any) -> int:
    """Bytes of all texts in a JSON-like value: no tokenizer makes more tokens of it."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Mapping):
        return sum(texts_in(item) for item in value.values())
    return sum(texts_in(item) for item in value) if isinstance(value, list | tuple) else 0


def made_in(message: Mapping[str, Any]) -> int:
    """Bytes of what a model has made of a message, or of a piece of one, in OpenAI's format; each text once.

    Its role is no text of the model's, and some servers send the thoughts under two names. Names that are not known
    count, so that it is never too little.
    """
    content = texts_in(message.get("content"))
    called = sum(texts_in(message.get(name)) for name in _CALLS)
    others = {value for name, value in message.items() if isinstance(value, str) and name not in _COUNTED_APART}
    return content + called + sum(map(texts_in, others))
