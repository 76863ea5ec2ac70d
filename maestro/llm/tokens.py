"""How many tokens a request has: a likely number to choose by, and a bound to reserve by."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maestro.llm.model import Message
from maestro.llm.prices import litellm_folder

if TYPE_CHECKING:
    from maestro.llm.catalogue import Model

# Templates put marks around every message, and some put a system message of their own before all.
_MESSAGE_LIKELY, _MESSAGE_AT_MOST = 4, 16
_REQUEST_LIKELY, _REQUEST_AT_MOST = 3, 128
# Providers explain to the model how tools are called; the longest known explanation has about 700 tokens.
_TOOLS_LIKELY, _TOOLS_AT_MOST = 200, 1024
_PROMPTED = ("tools", "functions", "response_format", "tool_choice", "function_call")
_SAMPLE = 4_000
_PART = 65_536
"""Characters that are normalised at once: nothing else runs in the process meanwhile."""
# The file as OpenAI publishes it and litellm ships it, named by the sha1 of its address, as tiktoken does.
_CL100K = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # pragma: allowlist secret
_CL100K_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"  # pragma: allowlist secret
_SPLIT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a request's input.

    Args:
        likely: for choosing a model and for its context.
        at_most: never fewer than the provider counts, whatever its tokenizer; for the worst case of the cost.
    """

    likely: int
    at_most: int


def count(model: Model | None, messages: Sequence[Message], options: Mapping[str, Any] | None = None) -> TokenCount:
    """Tokens of these messages and of what in ``options`` becomes part of the prompt (tools, a schema of the answer).

    Takes less than a millisecond for 10 KB of text, and never asks the network. Longer texts are counted by samples.

    Args:
        model: None: any. Today every model is counted alike: ``at_most`` holds for all, and of most models the
            tokenizer is not public.
    """
    likely, most = _REQUEST_LIKELY, _REQUEST_AT_MOST
    for message in messages:
        likely += _MESSAGE_LIKELY + _likely(message.content)
        most += _MESSAGE_AT_MOST + at_most(message.content)
        if message.extra:
            extra = _json(message.extra)
            likely += _likely(extra)
            # What is JSON may be written anew by the template: with spaces, with escapes, as a text within a text.
            most += 4 * len(extra)
    prompted = {key: options[key] for key in _PROMPTED if options.get(key)} if options else {}
    if prompted:
        text = _json(prompted)
        likely += _TOOLS_LIKELY + _likely(text)
        most += _TOOLS_AT_MOST + 4 * len(text)
    return TokenCount(min(likely, most), most)


def at_most(text: str) -> int:
    """The most tokens any byte-level tokenizer makes of ``text``: its bytes in UTF-8.

    Byte pair encoding merges bytes and never makes more of them; SentencePiece falls back to bytes, and adds one
    space. Some normalise first (NFC, NFKC), which may lengthen a text, so the longest form counts. Normal forms of two
    parts are together no shorter than that of the whole, so long texts are taken in parts.
    """
    if text.isascii():
        return len(text) + 1
    return 1 + sum(_longest(text[start : start + _PART]) for start in range(0, len(text), _PART))


def _longest(text: str) -> int:
    longest = len(text.encode("utf-8", "surrogatepass"))
    for form in ("NFC", "NFKC"):
        normal = unicodedata.normalize(form, text)
        if normal is not text:
            longest = max(longest, len(normal.encode("utf-8", "surrogatepass")))
    return longest


def _likely(text: str) -> int:
    if not text:
        return 0
    if len(text) <= 3 * _SAMPLE:
        return _encoded(text)
    middle = len(text) // 2
    windows = (text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:])
    return -(-sum(_encoded(window) for window in windows) * len(text) // (3 * _SAMPLE))


def _encoded(text: str) -> int:
    encoding = _encoding()
    if encoding is None:
        # Four letters a token in English and in code; nearly one a token in scripts of many signs.
        if text.isascii():
            return len(text) // 4 + 1
        others = sum(1 for character in text if ord(character) > 127)
        return (len(text) - others) // 4 + others + 1
    return len(encoding.encode_ordinary(text))


@functools.cache
def _encoding() -> Any:
    """OpenAI's cl100k_base from the file litellm ships; None where it or tiktoken is not installed.

    It is built here and not by tiktoken, which would download what it does not find.
    """
    folder = litellm_folder()
    if folder is None:
        return None
    try:
        import tiktoken

        content = (folder / "litellm_core_utils" / "tokenizers" / _CL100K).read_bytes()
    except (ImportError, OSError):
        return None
    if hashlib.sha256(content).hexdigest() != _CL100K_SHA256:
        return None
    pairs = (line.split() for line in content.splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    return tiktoken.Encoding("cl100k_base", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens={})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=str)
