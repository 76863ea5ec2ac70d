"""Puts the pieces of a streamed answer together again."""

from __future__ import annotations

from typing import Any

from maestro.llm.charging import made_in
from maestro.llm.model import Chunk, Completion, Usage
from maestro.llm.providers.openai_wire import says_something

_GROWS = ("content", "reasoning_content", "reasoning", "refusal")


class Assembly:
    """The answer so far, in OpenAI's format; grows by what each piece adds."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        """Of all that came; None while nobody has counted that."""
        self.counted: Usage | None = None
        """The last count, of this or of less."""
        self.finish: str | None = None
        self.size = 0
        """Bytes of all texts the model made: no fewer than the tokens they were."""
        self._said = False
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts.get("content", ()))

    def add(self, piece: Chunk) -> None:
        """The next piece."""
        self.size += made_in(piece.delta)
        says = says_something(piece.delta)
        self._said = self._said or says
        if piece.usage is not None and (piece.usage.output_tokens or not self._said):
            self.usage = self.counted = piece.usage
        elif says:
            # Some count as they go, or only the input at the beginning: what comes after a count is not in it.
            self.usage = None
        self.finish = piece.finish or self.finish
        for name in _GROWS:
            text = piece.delta.get(name)
            if isinstance(text, str):
                self._texts.setdefault(name, []).append(text)
        calls = piece.delta.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                self._add_call(place, call)

    def completion(self, usage: Usage) -> Completion:
        """All of it as one answer."""
        raw: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        raw |= {name: "".join(parts) for name, parts in self._texts.items() if name != "content"}
        if self._calls:
            raw["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        else:
            raw["content"] = self.text
        return Completion(self.text, usage, self.finish or "stop", raw)

    def _add_call(self, place: int, call: dict[str, Any]) -> None:
        index = call.get("index")
        known = self._calls.setdefault(
            index if isinstance(index, int) else place,
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        for name in ("id", "type"):
            if isinstance(call.get(name), str):
                known[name] = call[name] or known[name]
        function = call.get("function")
        if isinstance(function, dict):
            for name in ("name", "arguments"):
                if isinstance(function.get(name), str):
                    known["function"][name] += function[name]
